//! The last lines of a log, whose two streams may both be in the middle of one.

use std::collections::{HashSet, VecDeque};

use vxn_proto::StreamKind;

use super::read::{Entry, Error, Reader, Selection};

/// Tells the pieces of one line from those of others.
#[derive(Debug, Default)]
pub struct Numbers {
    next: usize,
    begun: [Option<usize>; 2],
}

impl Numbers {
    /// The number of the line that `entry` is a piece of, in the order of their beginnings.
    pub fn of(&mut self, entry: &Entry) -> usize {
        let begun = &mut self.begun[usize::from(entry.stream == StreamKind::Stderr)];
        let number = begun.take().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        *begun = (!entry.bytes.ends_with(b"\n")).then_some(number);
        number
    }
}

/// The last lines of a log, in the order of their ends, with what comes after them.
#[derive(Debug)]
pub struct Tail {
    lines: HashSet<usize>,
    later: usize,
}

impl Tail {
    /// At most `most` lines, and those that are not at their end.
    pub fn find(log: &mut Reader, selection: &Selection, most: usize) -> Result<Tail, Error> {
        let (mut lines, mut numbers) = (VecDeque::new(), Numbers::default());
        log.run(selection, &mut |entry| {
            let number = numbers.of(&entry);
            if entry.bytes.ends_with(b"\n") {
                lines.push_back(number);
                if lines.len() > most {
                    lines.pop_front();
                }
            }
            Ok(())
        })?;
        let unfinished = numbers.begun.into_iter().flatten().filter(|_| most > 0);
        let lines = lines.into_iter().chain(unfinished).collect();
        Ok(Tail { lines, later: numbers.next })
    }

    /// Whether the line with this number is one of them.
    pub fn holds(&self, number: usize) -> bool {
        number >= self.later || self.lines.contains(&number)
    }
}
