//! What becomes of a figure: a row of the table and of the file, or the reason why there is none.

use anyhow::Result;

use super::super::guest::Measured;
use super::super::ids::{Id, Source};
use super::super::results::{Absent, Row};
use super::super::{machine, peer};
use super::Suite;

impl Suite {
    /// Keeps a result, or refuses it.
    pub(super) fn row(&mut self, id: &'static Id, measured: &Measured) -> Result<()> {
        self.noted(id, measured, None)
    }

    /// [`Suite::row`], with a note.
    pub(super) fn noted(
        &mut self,
        id: &'static Id,
        measured: &Measured,
        note: Option<String>,
    ) -> Result<()> {
        match Row::new(id, self.clock, measured) {
            Ok(row) => {
                let mut row = row.in_cycles(self.counts_cycles);
                row.note = note;
                let system = (id.source == Source::Linux).then_some(peer::LINUX);
                match system {
                    Some(name) => {
                        self.results
                            .set_beside(&mut row, &peer::ids::beside(id.name));
                        self.results.other(name, "").results.push(row.clone());
                    }
                    None => self.results.add(row.clone()),
                }
                self.table.row(system, &row);
                self.results.save(&self.folder).map(drop)
            }
            Err(reason) => {
                self.failed(id, &reason.to_string());
                Ok(())
            }
        }
    }

    /// The guest's clock is a counter of core cycles.
    pub(super) fn cycles(&mut self) {
        self.counts_cycles = true;
        let machine = &mut self.results.machine;
        machine.cycles = Some(machine::core_cycles(machine));
    }

    /// This processor lacks what an id is about.
    pub(super) fn absent(&mut self, id: &Id, why: String) {
        self.table.failed(id.name, &why);
        let id = id.name.into();
        self.results.absent.push(Absent { id, why });
    }

    pub(super) fn failed(&mut self, id: &Id, reason: &str) {
        self.failures += 1;
        self.table.failed(&id.shown(), reason);
    }
}
