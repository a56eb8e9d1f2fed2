//! What a bench system says on its serial line: lines that begin with a mark and this boot's nonce.

use super::stats::Counts;

/// A line of the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// An id was measured.
    Result(Measured),
    /// An id could not be measured, and why.
    Failed(String, String),
    /// This processor lacks what an id is about, and what that is.
    Absent(String, String),
    /// What follows was counted in core cycles.
    Cycles,
    /// What is to be traced begins.
    Ready,
    /// Nothing follows.
    End,
}

/// What was measured of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Its name.
    pub id: String,
    /// Operations in each sample; the samples are for one.
    pub batch: u64,
    /// What reading the clock costs; it is subtracted already.
    pub overhead: u64,
    /// The samples.
    pub counts: Counts,
}

/// Finds the guest's lines in the bytes of the serial line.
#[derive(Debug)]
pub struct Lines {
    mark: String,
    held: Vec<u8>,
}

impl Lines {
    /// Those of the boot with this nonce.
    pub fn new(nonce: &str) -> Lines {
        Lines {
            mark: format!("\x1ebench {nonce} "),
            held: Vec::new(),
        }
    }

    /// Takes the next bytes; returns what whole lines say. A damaged line is an `Err` with its text.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Result<Said, String>> {
        self.held.extend_from_slice(bytes);
        let Some(end) = self.held.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let lines: Vec<u8> = self.held.drain(..=end).collect();
        let lines = String::from_utf8_lossy(&lines);
        let own = lines
            .lines()
            .filter_map(|line| line.strip_prefix(&self.mark));
        own.map(|line| parse(line).ok_or_else(|| line.to_string()))
            .collect()
    }
}

fn parse(line: &str) -> Option<Said> {
    let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
    match kind {
        "cycles" => Some(Said::Cycles),
        "ready" => Some(Said::Ready),
        "end" => Some(Said::End),
        "failed" => {
            let (id, reason) = rest.split_once(' ')?;
            Some(Said::Failed(id.into(), reason.into()))
        }
        "absent" => {
            let (id, reason) = rest.split_once(' ')?;
            Some(Said::Absent(id.into(), reason.into()))
        }
        "result" => {
            let mut words = rest.split_whitespace();
            let id = words.next()?.to_string();
            let batch = words.next()?.parse().ok()?;
            let overhead = words.next()?.parse().ok()?;
            let mut counts = Counts::default();
            for word in words {
                let (value, count) = word.split_once('*')?;
                counts.add(value.parse().ok()?, count.parse().ok()?);
            }
            Some(Said::Result(Measured {
                id,
                batch,
                overhead,
                counts,
            }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_and_read() {
        let serial = b"noise\r\n\x1ebench n1 result a.b 16 21 110*3 120*1\r\n\x1ebench n0 end\r\n\
            \x1ebench n1 failed c no such id\r\n\x1ebench n1 result d 1\r\n\x1ebench n1 absent e none\r\n\x1ebench n1 cycles\r\n\x1ebench n1 end\r\n";
        for size in [1, 7, serial.len()] {
            let mut lines = Lines::new("n1");
            let said: Vec<_> = serial
                .chunks(size)
                .flat_map(|bytes| lines.feed(bytes))
                .collect();
            let [
                Ok(Said::Result(a)),
                Ok(failed),
                Err(damaged),
                Ok(absent),
                Ok(Said::Cycles),
                Ok(Said::End),
            ] = said.as_slice()
            else {
                panic!("{said:?}")
            };
            assert_eq!((a.id.as_str(), a.batch, a.overhead), ("a.b", 16, 21));
            assert_eq!(a.counts.summary().map(|s| (s.n, s.max)), Some((4, 120)));
            assert_eq!(*failed, Said::Failed("c".into(), "no such id".into()));
            assert_eq!(damaged, "result d 1");
            assert_eq!(*absent, Said::Absent("e".into(), "none".into()));
        }
    }
}
