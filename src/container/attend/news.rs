//! What the world is told of a life.

use vxn_proto::ProcessId;

use super::super::condition;
use super::super::news;
use super::super::report::Report;
use super::super::store::Containers;
use super::{Attendance, Error};

impl Attendance<'_> {
    /// Tells that something has happened, under the name that the container has now. A
    /// helper is no life of the container's.
    pub(super) fn tell(&self, action: &str, more: &[(&str, String)]) {
        let (root, definition) = (&self.plan.root, &self.plan.definition);
        if self.plan.helper {
            return;
        }
        let now = Containers::new(root).load(&definition.id);
        news::tell(root, now.as_ref().unwrap_or(definition), action, more);
    }

    /// Tells of a process besides the main one.
    pub(super) fn tell_exec(&self, action: &str, command: &str, process: ProcessId) {
        let id = ("execID", process.0.to_string());
        self.tell(&format!("{action}: {command}"), &[id]);
    }

    /// Sends a signal to the main process, and tells of it.
    pub(super) fn signal_main(&mut self, process: ProcessId, signal: u8) -> Result<(), Error> {
        self.tell("kill", &[("signal", signal.to_string())]);
        Ok(self.session.signal(process, signal)?)
    }

    /// Tells how the life has ended, if the process ever ran.
    pub(super) fn tell_end(&self, report: &Report) {
        if self.desk.live().phase == condition::Phase::Starting {
            return;
        }
        if report.oom_killed {
            self.tell("oom", &[]);
        }
        self.tell("die", &[("exitCode", report.code.to_string())]);
        if self.stopping {
            self.tell("stop", &[]);
        }
    }
}
