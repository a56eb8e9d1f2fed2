//! What is counted from outside: a trace, a boot, a file.

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection};

use super::super::ids::Id;
use super::super::stats::Counts;
use super::super::traced::traced;
use super::{Suite, counted};
use crate::run;
use crate::system::System;

impl Suite {
    /// Single-steps a round trip and an interrupt.
    pub(super) fn trace(&mut self, ids: &[&'static Id]) -> Result<()> {
        self.table.doing("tracing");
        let traced = traced(&self.options)?;
        for id in ids {
            let (value, note) = traced.figure(id.name).context("no such figure")?;
            self.noted(id, &counted(id, Counts::one(value)), note)?;
        }
        Ok(())
    }

    /// Boots the default system and asks when its prompt was there.
    pub(super) fn boots(&mut self, ids: &[&'static Id]) -> Result<()> {
        let system = System::load("default")?;
        let mut options = self.options.clone();
        options.exec = vec!["uptime --boot".into()];
        let mut counts = Counts::default();
        for boot in 0..self.boots {
            self.table
                .doing(&format!("boot {} of {}", boot + 1, self.boots));
            let (outcome, symbols) = run::execute(&options, &system, |_| Ok(()), &mut |_| Ok(()))?;
            let ticks = outcome.output.trim().parse();
            let Ok(ticks) = ticks else {
                self.table.clear();
                eprintln!("--- the log\n{}---", symbols.annotate(&outcome.log));
                bail!("the default system did not boot; results so far are kept");
            };
            counts.add(ticks, 1);
        }
        for id in ids {
            self.row(id, &counted(id, counts.clone()))?;
        }
        Ok(())
    }

    /// Looks at the kernel's file.
    pub(super) fn file(&mut self, ids: &[&'static Id]) -> Result<()> {
        let system = System::load("bench")?;
        let symbols = crate::image::build(&system)?.symbols;
        let file = symbols.file(bootinfo::archive::KERNEL);
        let bytes =
            std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let elf = object::File::parse(bytes.as_slice())?;
        let text = elf
            .section_by_name(".text")
            .context("the kernel has no .text")?;
        for id in ids {
            self.row(id, &counted(id, Counts::one(text.size())))?;
        }
        Ok(())
    }
}
