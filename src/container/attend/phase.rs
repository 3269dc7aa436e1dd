//! How far a life is, and what it waits for.

use std::time::{Duration, Instant};

use super::super::plan::Plan;
use super::super::report::{ENGINE_FAILED, Report};

/// How long a guest may take to write to its disk what it holds in memory. A
/// busy disk takes its time for each flush, and nothing is lost while we wait.
pub const SYNC: Duration = Duration::from_secs(300);

/// How far the process is.
#[derive(Debug)]
pub enum Phase {
    /// The DomU boots until this moment at the latest.
    Booting { until: Instant },
    /// The process runs.
    Running,
    /// The process has ended; the rest of its output is awaited.
    Exited { report: Report, until: Instant },
    /// What the process has written to its root is on its way back.
    Returning { report: Report, until: Instant },
    /// Everything is over but for the guest's writes.
    PoweringOff { report: Report, until: Instant },
    /// The guest has closed its channel; libxl will tell why.
    Silent { until: Instant },
}

impl Phase {
    /// When it is over at the latest.
    pub fn until(&self) -> Option<Instant> {
        match self {
            Phase::Running => None,
            Phase::Booting { until }
            | Phase::Exited { until, .. }
            | Phase::Returning { until, .. }
            | Phase::PoweringOff { until, .. }
            | Phase::Silent { until } => Some(*until),
        }
    }

    /// What it means that this took too long.
    pub fn overdue(&self, plan: &Plan) -> Option<Report> {
        Some(match self {
            Phase::Running => return None,
            Phase::Booting { .. } => {
                let seconds = plan.boot_timeout.as_secs();
                let text = format!("the DomU said nothing for {seconds} s");
                let hint =
                    "is this kernel made for Xen guests? raise boot_timeout if the host is slow";
                Report::failed(ENGINE_FAILED, text).with_hint(Some(hint))
            }
            Phase::Exited { report, .. } => {
                tracing::warn!("the guest did not end the process's output");
                report.clone()
            }
            Phase::Returning { report, .. } => report.clone(),
            Phase::PoweringOff { report, .. } => {
                let text = format!("the guest did not power off within {} s", SYNC.as_secs());
                let hint = "what the process wrote last may be lost";
                Report::failed(report.code, text).with_hint(Some(hint))
            }
            Phase::Silent { .. } => Report::failed(ENGINE_FAILED, "the guest closed its channel"),
        })
    }
}

/// What happens to a running process when.
#[derive(Debug, Default)]
pub struct Deadlines {
    /// `--timeout` is over.
    pub timeout: Option<Instant>,
    /// It had its time to stop.
    pub kill: Option<Instant>,
    /// It had its time to die.
    pub destroy: Option<Instant>,
    /// Why it was killed, if that is worth telling.
    pub why: Option<String>,
}

impl Deadlines {
    /// The first of them.
    pub fn first(&self) -> Option<Instant> {
        [self.timeout, self.kill, self.destroy].into_iter().flatten().min()
    }
}
