//! The end of a container whose writes go back to where its root came from. The guest packs
//! them after its processes have ended, and a thread of this process unpacks them.

use std::io::{self, Write};
use std::time::Instant;

use vxn_proto::{FileRequest, ProcessId, StreamId, StreamKind};

use super::super::condition;
use super::super::definition::Layer;
use super::super::report::Report;
use super::super::streams::Output;
use super::phase::{self, Phase};
use super::{Attendance, Error, Other, Work};
use crate::guest::Rest;

/// Tag of the thread that unpacks, behind those of the two outputs.
pub(super) const TAG: usize = 2;

/// Most bytes that are kept of why the guest failed.
const MAX_WORDS: usize = 4096;

/// What is on its way back.
#[derive(Debug)]
pub(super) struct Returning {
    process: ProcessId,
    unpacker: Output,
    /// Why it did not arrive, in the words of this end.
    failure: Option<String>,
    /// What the guest says of its own failure.
    words: Vec<u8>,
    /// How the guest's work ended.
    ended: Option<Report>,
    /// Everything that came is unpacked, or thrown away.
    finished: bool,
}

impl Returning {
    /// Whether it is over, and how it failed if it did. The guest's failure is the cause of
    /// what is seen of it here, unless it is the effect.
    fn outcome(&self) -> Option<Result<(), String>> {
        let ended = self.ended.as_ref().filter(|_| self.finished)?;
        let words = String::from_utf8_lossy(&self.words).trim().to_owned();
        Some(match (&self.failure, ended) {
            (Some(failure), _) => Err(failure.clone()),
            (None, Report { error: Some(error), .. }) => Err(format!("the guest: {error}")),
            (None, Report { code: 0, .. }) => Ok(()),
            (None, _) if !words.is_empty() => Err(format!("the guest: {words}")),
            (None, Report { code, .. }) => Err(format!("the guest gave up with code {code}")),
        })
    }
}

impl Attendance<'_> {
    /// The process has ended, and its outputs are written: what it has written to its root
    /// goes back, if it is to. Then the guest goes.
    pub(super) fn end_life(&mut self, report: Report) -> Result<(), Error> {
        let Some(back) = self.plan.definition.write_back.clone() else {
            return self.power_off(report);
        };
        let bytes = match self.plan.definition.layer {
            Layer::Disk { bytes } => bytes,
            // The memory of the DomU is the bound.
            Layer::Memory => self.plan.definition.memory_kib.saturating_mul(1024),
        };
        let take = move |layer: &mut dyn io::Read| {
            let count = back.apply(bytes, layer).map_err(io::Error::other)?;
            tracing::debug!(count, "written back");
            Ok(())
        };
        let unpacker = Output::taken_by(take, TAG, &self.mailbox)?;
        let process = self.session.work_on_files(FileRequest::Layer { freeze: false })?;
        self.others.insert(process, Other { client: None, work: Work::WriteBack });
        let (failure, words, ended, finished) = (None, Vec::new(), None, false);
        self.returning = Some(Returning { process, unpacker, failure, words, ended, finished });
        self.phase = Phase::Returning { report, until: Instant::now() + phase::SYNC };
        Ok(())
    }

    /// Takes output of the work, if it is that of `stream`.
    pub(super) fn returned(&mut self, stream: StreamId, bytes: &[u8]) -> Result<bool, Error> {
        let Some(returning) = self.returning.as_mut().filter(|r| r.process == stream.process)
        else {
            return Ok(false);
        };
        if stream.kind == StreamKind::Stdout {
            returning.unpacker.write(bytes.to_vec());
            return Ok(true);
        }
        let room = MAX_WORDS.saturating_sub(returning.words.len());
        returning.words.extend(&bytes[..room.min(bytes.len())]);
        self.session.consumed(stream, bytes.len())?;
        Ok(true)
    }

    /// An output of the work has ended.
    pub(super) fn returned_all(&mut self, stream: StreamId) {
        if let Some(returning) = self.returning.as_mut().filter(|r| r.process == stream.process) {
            if stream.kind == StreamKind::Stdout {
                returning.unpacker.finish();
            }
        }
    }

    /// The guest's work is over.
    pub(super) fn return_ended(&mut self, report: Report) {
        if let Some(returning) = &mut self.returning {
            // Work that was never started has no output.
            returning.unpacker.finish();
            returning.ended = Some(report);
        }
    }

    /// The thread has taken so many bytes: the guest may send more. That is a reason to go
    /// on waiting, unless they were thrown away.
    pub(super) fn unpacked(&mut self, bytes: usize) -> Result<(), Error> {
        let Some(returning) = &self.returning else { return Ok(()) };
        if let (Phase::Returning { until, .. }, None) = (&mut self.phase, &returning.failure) {
            *until = Instant::now() + phase::SYNC;
        }
        Ok(self.session.consumed(StreamId::stdout(returning.process), bytes)?)
    }

    /// The thread cannot go on. The guest need not either.
    pub(super) fn not_unpacked(&mut self, error: &io::Error) -> Result<(), Error> {
        let Some(returning) = &mut self.returning else { return Ok(()) };
        returning.failure = Some(error.to_string());
        let stream = StreamId::stdout(returning.process);
        if returning.ended.is_none() {
            self.session.hang_up(stream)?;
        }
        Ok(())
    }

    /// The thread is done.
    pub(super) fn unpacker_ended(&mut self) {
        if let Some(returning) = &mut self.returning {
            returning.finished = true;
        }
    }

    /// When everything is back, or cannot be had, the DomU is not needed any more; its disk
    /// holds nothing that anybody wants.
    pub(super) fn finish_return(&mut self) {
        let outcome = self.returning.as_ref().and_then(Returning::outcome);
        if let (Some(outcome), Phase::Returning { report, .. }) = (outcome, &self.phase) {
            self.report = Some(match outcome {
                Ok(()) => report.clone(),
                Err(why) => self.not_returned(report, &why),
            });
        }
    }

    /// Whether all that the guest has to send is here.
    pub(super) fn has_returned(&self) -> bool {
        self.returning.as_ref().is_some_and(|returning| returning.ended.is_some())
    }

    /// A guest that is gone sends nothing more.
    pub(super) fn still_returning(&mut self, rest: Rest) {
        if let (Rest::Closed, Phase::Returning { report, .. }) = (rest, &self.phase) {
            if self.report.is_none() && !self.has_returned() {
                self.report = Some(self.not_returned(report, "the guest closed its channel"));
            }
        }
    }

    /// Tells whoever has the container's stderr, and its caller's log, of an end that is not
    /// the process's alone: nobody waits for a report who would show it.
    pub(super) fn complain(&self, report: &Report) {
        let Some(back) = &self.plan.definition.write_back else { return };
        let Some(error) = &report.error else { return };
        let ran = self.desk.live().phase != condition::Phase::Starting;
        if !ran || self.removed || !self.desk.inherited {
            return;
        }
        let logged = back.failures.as_ref().map_or(Ok(()), |log| log.add(error));
        let shown = match self.desk.front {
            None => writeln!(io::stderr(), "vxn: {error}"),
            Some(_) => Ok(()),
        };
        if let Err(e) = logged.and(shown) {
            tracing::debug!("nobody hears of {error}: {e}");
        }
    }

    /// The end of a process whose writes did not get back, or not all.
    pub(super) fn not_returned(&self, report: &Report, why: &str) -> Report {
        let Some(back) = &self.plan.definition.write_back else { return report.clone() };
        let root = back.root.display();
        let error = format!("cannot write back to {root} what the container wrote: {why}");
        let hint = "what came before that is there, the rest is lost";
        Report { error: Some(error), ..report.clone() }.with_hint(Some(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::streams::Mailbox;
    use super::*;

    #[test]
    fn it_is_over_when_both_ends_say_so() {
        let mailbox = Mailbox::new().unwrap();
        let unpacker = Output::taken_by(|_| Ok(()), TAG, &mailbox).unwrap();
        let (failure, words, ended) = (None, Vec::new(), None);
        let process = ProcessId(1);
        let mut it = Returning { process, unpacker, failure, words, ended, finished: true };
        assert_eq!(it.outcome(), None);
        it.ended = Some(Report::exited(0));
        it.finished = false;
        assert_eq!(it.outcome(), None);
        it.finished = true;
        assert_eq!(it.outcome(), Some(Ok(())));
        it.ended = Some(Report::exited(1));
        let words = |it: &Returning| it.outcome().unwrap().unwrap_err();
        assert_eq!(words(&it), "the guest gave up with code 1");
        it.words = b"no room\n".to_vec();
        assert_eq!(words(&it), "the guest: no room");
        it.failure = Some("the disk is full".to_owned());
        assert_eq!(words(&it), "the disk is full");
    }
}
