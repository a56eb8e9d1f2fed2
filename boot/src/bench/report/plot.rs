//! The plots, as SVG (crate `plotters`). Text and lines are black and the ground is empty: the page's style gives both its own colours,
//! for a bright and a dark screen.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::super::curves::{Crossover, Curve, Path, Way};

/// Width of a plot; small enough that its text can be read when a phone shrinks it.
const WIDTH: u32 = 480;
/// Height of a plot with axes.
const HEIGHT: u32 = 340;
/// Height of a bar with the line of text above it.
const BAR: u32 = 42;
/// Text, in the unit of `plotters`: 13 pixels.
const TEXT: i32 = 16;

/// Colours that can be told apart on white and on black, and by those who see fewer (after Okabe and Ito).
pub const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 158, 115),
    RGBColor(230, 129, 0),
    RGBColor(46, 134, 222),
    RGBColor(204, 101, 160),
    RGBColor(150, 130, 60),
    RGBColor(120, 110, 220),
    RGBColor(130, 130, 130),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws on an empty ground of that height.
fn draw(height: u32, paint: impl FnOnce(&Area) -> Result<()>) -> Result<String> {
    let mut drawing = String::new();
    {
        let area = SVGBackend::with_string(&mut drawing, (WIDTH, height)).into_drawing_area();
        paint(&area)?;
        area.present().map_err(broken)?;
    }
    Ok(drawing)
}

fn broken(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// What stands on the vertical axis of [`curves`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vertical {
    /// What a read costs.
    Cost,
    /// Bytes that the processor copied for it.
    Copied,
}

/// The colour of a curve: its way's, and others for what only a message does.
pub fn colour(curve: &Curve) -> RGBColor {
    COLOURS[match (curve.way, curve.path) {
        (Way::Message, Path::Shared) => 3,
        (Way::Message, Path::Registers) => 5,
        (way, _) => way as usize,
    }]
}

/// Cost over size, both axes logarithmic. A size or a value of nothing has no place on them.
///
/// # Errors
/// There is nothing to draw.
pub fn curves(curves: &[Curve], crossovers: &[Crossover], vertical: Vertical) -> Result<String> {
    let points = |curve: &Curve| -> Vec<(f64, f64)> {
        let value = |point: &(u64, u64, u64)| match vertical {
            Vertical::Cost => point.1,
            Vertical::Copied => point.2,
        };
        let points = curve.points.iter().map(|point| (point.0, value(point)));
        let real = points.filter(|(size, value)| *size > 0 && *value > 0);
        real.map(|(size, value)| (size as f64, value as f64))
            .collect()
    };
    let all: Vec<(f64, f64)> = curves.iter().flat_map(points).collect();
    let (sizes, mut values) = (
        span(all.iter().map(|p| p.0))?,
        span(all.iter().map(|p| p.1))?,
    );
    if vertical == Vertical::Cost {
        // Whole decades, or the axis may have no number.
        values = (decade(values.0, f64::floor), decade(values.1, f64::ceil));
    }
    draw(HEIGHT, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(14)
            .x_label_area_size(36)
            .y_label_area_size(72)
            .build_cartesian_2d(
                (sizes.0..sizes.1).log_scale().base(2.0),
                (values.0..values.1).log_scale().base(match vertical {
                    Vertical::Cost => 10.0,
                    Vertical::Copied => 2.0,
                }),
            )
            .map_err(broken)?;
        chart
            .configure_mesh()
            .label_style(("sans-serif", TEXT))
            .light_line_style(BLACK.mix(0.0))
            .bold_line_style(BLACK.mix(0.15))
            .x_labels(8)
            .x_desc("bytes asked for")
            .x_label_formatter(&|size| bytes(*size))
            .y_label_formatter(&|value| match vertical {
                Vertical::Cost => thousands(*value),
                Vertical::Copied => bytes(*value),
            })
            .draw()
            .map_err(broken)?;
        for curve in curves {
            let (line, colour) = (points(curve), colour(curve));
            let dots = line
                .iter()
                .map(|point| Circle::new(*point, 3, colour.filled()));
            chart.draw_series(dots).map_err(broken)?;
            let style = colour.stroke_width(2);
            chart
                .draw_series(std::iter::once(PathElement::new(line, style)))
                .map_err(broken)?;
        }
        for (index, crossover) in crossovers.iter().enumerate() {
            // Numbers of neighbours stand at different heights.
            let above = -(12 + 16 * (index as i32 % 3));
            let mark = EmptyElement::at((crossover.size, crossover.cost))
                + Circle::new((0, 0), 5, BLACK.stroke_width(2))
                + PathElement::new([(0, -5), (0, above)], BLACK)
                + Text::new(format!("{}", index + 1), (0, above), centred(TEXT));
            chart.draw_series(std::iter::once(mark)).map_err(broken)?;
        }
        Ok(())
    })
}

/// Text above its place.
fn centred(size: i32) -> TextStyle<'static> {
    let style = TextStyle::from(("sans-serif", size).into_font());
    style.pos(Pos::new(HPos::Center, VPos::Bottom))
}

/// The least and the greatest, widened so that no logarithmic axis is empty.
fn span(values: impl Iterator<Item = f64>) -> Result<(f64, f64)> {
    let (least, greatest) = values.fold((f64::INFINITY, 0.0f64), |(least, greatest), value| {
        (least.min(value), greatest.max(value))
    });
    if greatest == 0.0 {
        return Err(anyhow!("nothing to draw"));
    }
    Ok((least / 1.5, greatest * 1.5))
}

fn decade(value: f64, round: fn(f64) -> f64) -> f64 {
    10f64.powf(round(value.log10()))
}

/// A bar of one or more parts, with text above it.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Left above it.
    pub label: String,
    /// Right above it.
    pub text: String,
    /// Colour (an index of [`COLOURS`]) and length of each part.
    pub parts: Vec<(usize, f64)>,
    /// Length that fills the width.
    pub full: f64,
}

/// Bars below each other.
///
/// # Errors
/// They cannot be drawn.
pub fn bars(bars: &[Bar]) -> Result<String> {
    draw(BAR * bars.len() as u32 + 4, |area| {
        let right = WIDTH as i32 - 4;
        for (index, bar) in bars.iter().enumerate() {
            let top = BAR as i32 * index as i32 + 2;
            let style = TextStyle::from(("sans-serif", TEXT).into_font());
            let label = Text::new(bar.label.clone(), (2, top), style.clone());
            area.draw(&label).map_err(broken)?;
            let end = style.pos(Pos::new(HPos::Right, VPos::Top));
            let text = Text::new(bar.text.clone(), (right, top), end);
            area.draw(&text).map_err(broken)?;
            let (mut left, mut sum) = (2, 0.0);
            for (colour, length) in &bar.parts {
                sum += length;
                let to = 2 + (f64::from(right - 2) * (sum / bar.full)).round() as i32;
                let corners = [(left, top + TEXT + 5), (to, top + BAR as i32 - 6)];
                let part = Rectangle::new(corners, COLOURS[colour % COLOURS.len()].filled());
                area.draw(&part).map_err(broken)?;
                left = to;
            }
        }
        Ok(())
    })
}

/// A number of bytes, short.
pub fn bytes(value: f64) -> String {
    let (number, unit) = match value {
        _ if value < 1024.0 => (value, "B"),
        _ if value < 1048576.0 => (value / 1024.0, "KiB"),
        _ => (value / 1048576.0, "MiB"),
    };
    let digits = usize::from(number < 10.0 && (number - number.round()).abs() > 0.05);
    format!("{number:.digits$} {unit}")
}

/// A number with groups of three digits.
pub fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| str::from_utf8(group).unwrap_or("?"))
        .collect();
    groups.join("\u{202f}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [1.0, 512.0, 1024.0, 1536.0, 65536.0, 1048576.0].map(bytes);
        assert_eq!(
            shown,
            ["1 B", "512 B", "1 KiB", "1.5 KiB", "64 KiB", "1 MiB"]
        );
        assert_eq!(
            [7.0, 1234.0, 1234567.4]
                .map(thousands)
                .map(|text| text.replace('\u{202f}', "_")),
            ["7", "1_234", "1_234_567"]
        );
    }

    #[test]
    fn parts_of_a_bar_stand_side_by_side() {
        let bar = Bar {
            label: "a<b".into(),
            text: "4".into(),
            parts: vec![(0, 1.0), (1, 3.0)],
            full: 4.0,
        };
        let drawing = bars(&[bar]).expect("it can be drawn");
        assert!(drawing.contains("a&lt;b"), "{drawing}");
        let widths = drawing
            .split("<rect ")
            .skip(1)
            .filter_map(|tag| tag.split_once(" width=\"")?.1.split_once('"'));
        let widths: Vec<i32> = widths
            .map(|(width, _)| width.parse().expect("a number"))
            .collect();
        let [first, second] = widths[..] else {
            panic!("{widths:?}")
        };
        assert!((second - 3 * first).abs() <= 3, "{widths:?}");
        assert!(curves(&[], &[], Vertical::Cost).is_err());
    }
}
