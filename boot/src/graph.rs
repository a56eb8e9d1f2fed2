//! `graph`: draws who may call whom.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use layout::backends::svg::SVGWriter;
use layout::core::base::Orientation;
use layout::core::color::Color;
use layout::core::style::StyleAttr;
use layout::std_shapes::render::get_shape_size;
use layout::std_shapes::shapes::{Arrow, Element, ShapeKind};
use layout::topo::layout::VisualGraph;
use manifest::{Device, Manifest, Program};

use crate::check::ROOT_ENDPOINTS;
use crate::progress::note;
use crate::status::Status;
use crate::system::System;

/// Size of the letters in pixels.
const LETTERS: usize = 15;
/// Colours of programs with hardware, and of those without.
const DRIVER: u32 = 0xffe0_b0ff;
const PLAIN: u32 = 0xe8f0_ffff;

/// What `graph` can be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// System to draw: NAME for boot/systems/NAME.toml, or the path of such a file
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    system: String,
    /// The picture's file (SVG)
    #[arg(long, value_name = "FILE")]
    out: std::path::PathBuf,
}

/// Draws a system's programs and their calls.
///
/// # Errors
/// The manifest breaks a rule, or the file cannot be written.
pub fn graph(options: &Options) -> Result<Status> {
    let system = System::load(&options.system)?;
    write(&options.out, &draw(&system.manifest))?;
    note(&format!("{} is drawn", options.out.display()));
    Ok(Status::Success)
}

fn write(file: &Path, picture: &str) -> Result<()> {
    std::fs::write(file, picture).with_context(|| format!("cannot write {}", file.display()))
}

/// The picture: an arrow from each program to those that it may call. All may call `root.memory`, so that is left out.
fn draw(manifest: &Manifest) -> String {
    let mut graph = VisualGraph::new(Orientation::LeftToRight);
    let mut node = |text: &str, colour: u32| {
        let shape = ShapeKind::new_box(text);
        let look = StyleAttr::new(
            Color::new(0x0000_00ff),
            1,
            Some(Color::new(colour)),
            5,
            LETTERS,
        );
        let size = get_shape_size(Orientation::LeftToRight, &shape, LETTERS, false);
        graph.add_node(Element::create(shape, look, Orientation::LeftToRight, size))
    };
    let mut nodes = HashMap::from([("root", node("root", PLAIN))]);
    for program in &manifest.programs {
        let colour = if program.devices.is_empty() {
            PLAIN
        } else {
            DRIVER
        };
        nodes.insert(&program.name, node(&describe(program), colour));
    }
    for (from, to, facet) in arrows(manifest) {
        if let (Some(from), Some(to)) = (nodes.get(from), nodes.get(to)) {
            graph.add_edge(Arrow::simple(facet), *from, *to);
        }
    }
    let mut picture = SVGWriter::new();
    graph.do_it(false, false, false, &mut picture);
    picture.finalize()
}

/// Caller, called, and by which facet (empty: the plain way).
fn arrows(manifest: &Manifest) -> impl Iterator<Item = (&str, &str, &str)> {
    manifest.programs.iter().flat_map(|program| {
        let needs = program
            .needs
            .iter()
            .filter(|need| **need != ROOT_ENDPOINTS[0]);
        needs.map(|need| {
            let (server, facet) = Program::need(need);
            (program.name.as_str(), server, facet.unwrap_or_default())
        })
    })
}

fn describe(program: &Program) -> String {
    let mut lines = vec![
        program.name.clone(),
        format!("rank {}, priority {}", program.rank, program.priority),
    ];
    if !program.exports.is_empty() {
        lines.push(program.exports.join(" "));
    }
    lines.extend(program.devices.iter().map(hardware));
    lines.join("\n")
}

fn hardware(device: &Device) -> String {
    match device {
        Device::Pci {
            vendor,
            device,
            index,
        } => {
            let ids = device.iter().map(|id| format!("{id:04x}"));
            let ids = ids.collect::<Vec<_>>().join("/");
            format!("PCI {vendor:04x}:{ids} ({index})")
        }
        Device::Ports { base, count: 1 } => format!("port {base:#x}"),
        Device::Ports { base, count } => format!("ports {base:#x} to {:#x}", base + (count - 1)),
        Device::Irq { isa } => format!("interrupt {isa}"),
        Device::Channel(number) => format!("channel {number}"),
        Device::Memory { kind, .. } => format!("{kind:?} memory").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_in_the_picture() {
        let system = System::load("default").expect("it is there");
        let picture = draw(&system.manifest);
        assert!(picture.starts_with("<?xml") || picture.starts_with("<svg"));
        for program in &system.manifest.programs {
            assert!(picture.contains(&format!(">{}</tspan>", program.name)));
        }
        let all: Vec<_> = arrows(&system.manifest).collect();
        assert!(all.contains(&("shell", "disk", "")));
        assert!(all.contains(&("shell", "root", "control")));
        assert!(all.contains(&("keyboard", "console", "input")));
        // Every arrow has a head.
        assert!(
            picture.matches("marker-end").count() >= all.len(),
            "{picture}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = format!(
            "{:#}",
            write(Path::new("/nowhere/at/all.svg"), "").unwrap_err()
        );
        assert!(error.contains("/nowhere/at/all.svg"), "{error}");
    }
}
