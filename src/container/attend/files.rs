//! Work on the container's files; and the end of a helper, a DomU that is there for
//! nothing else.

use std::time::Instant;

use vxn_proto::{FileRequest, ProcessId};

use super::super::control::{ClientId, ToClient};
use super::super::report::Report;
use super::feed::Feed;
use super::phase::{self, Phase};
use super::{Attendance, Error, Other, Work};
use crate::guest;

impl Attendance<'_> {
    /// Has the guest do what a client asks for.
    pub(super) fn work_on_files(
        &mut self,
        client: ClientId,
        request: FileRequest,
    ) -> Result<(), Error> {
        if let Some(why) = self.hindrance() {
            self.refuse(client, why);
            return Ok(());
        }
        let stdin = request.takes_input();
        let started = self.session.work_on_files(request);
        self.begun(client, started, Work::Files, stdin).map(drop)
    }

    /// Puts a client with the process that the guest was told to start for it. Returns
    /// which that is; none when it is too much for the guest, and the client is refused.
    pub(super) fn begun(
        &mut self,
        client: ClientId,
        started: Result<ProcessId, guest::Error>,
        work: Work,
        stdin: bool,
    ) -> Result<Option<ProcessId>, Error> {
        let process = match started {
            Ok(process) => process,
            Err(e @ (guest::Error::TooLong(_) | guest::Error::TooMany)) => {
                self.refuse(client, &e.to_string());
                return Ok(None);
            }
            Err(e) => return Err(e.into()),
        };
        self.others.insert(process, Other { client: Some(client), work });
        if stdin {
            self.feeds.insert(client, Feed::new(Some(process), true));
        }
        Ok(Some(process))
    }

    /// The helper is not needed any more: it goes as the container would.
    pub(super) fn power_off(&mut self, report: Report) -> Result<(), Error> {
        if self.plan.layer().is_none() {
            self.report = Some(report);
            return Ok(());
        }
        self.session.power_off()?;
        self.phase = Phase::PoweringOff { report, until: Instant::now() + phase::SYNC };
        Ok(())
    }
}

/// How work on files ended. An `Ended` would be the container's, which is no success.
pub(super) fn answer(report: Report) -> ToClient {
    match (report.code, report.error) {
        (0, None) => ToClient::Done,
        (_, Some(message)) => ToClient::Refused { message },
        (code, None) => {
            let message = format!("the guest gave up with code {code}");
            ToClient::Refused { message }
        }
    }
}
