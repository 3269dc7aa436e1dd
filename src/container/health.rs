//! Health checks, docker's: what is executed when, and what is made of how it ends. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::definition::Text;

/// The exit code of a check that did not end by itself, or did not begin.
pub const NO_EXIT: i32 = -1;

/// Results that are kept.
const KEPT: usize = 5;

/// Most bytes that are kept of what a check says.
pub const MAX_OUTPUT: usize = 4096;

/// How a container's health is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is executed: program and arguments. Exit code 0 is health.
    pub command: Vec<Text>,
    /// From the end of a check to the next one.
    pub interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// How long the container may take to become healthy without that counting.
    pub start_period: Duration,
    /// The interval meanwhile.
    pub start_interval: Duration,
    /// How many checks in a row have to fail.
    pub retries: u32,
}

/// What the checks have found so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// The verdict.
    pub status: Status,
    /// How many checks have failed in a row.
    pub failing_streak: u32,
    /// The last results, the oldest first.
    pub log: Vec<Probe>,
}

/// The verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// There is none yet.
    #[default]
    Starting,
    /// The last check did not fail, or not enough of them did.
    Healthy,
    /// Too many have failed.
    Unhealthy,
}

/// One check's result, with docker's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Probe {
    /// When it began.
    pub start: Timestamp,
    /// When it was over.
    pub end: Timestamp,
    /// Its exit code, or [`NO_EXIT`].
    pub exit_code: i32,
    /// What it has said, 4096 bytes of it at most; or why there was no check.
    pub output: String,
}

impl Status {
    /// docker's word.
    pub fn word(self) -> &'static str {
        match self {
            Status::Starting => "starting",
            Status::Healthy => "healthy",
            Status::Unhealthy => "unhealthy",
        }
    }
}

impl HealthCheck {
    /// From now to the next check of a container that has run for `age`.
    pub fn pause(&self, health: &Health, age: Duration) -> Duration {
        if health.status == Status::Starting && age < self.start_period {
            return self.start_interval;
        }
        self.interval
    }
}

impl Health {
    /// Takes a result of a container that has run since `started`. Returns the verdict
    /// if it is another one now.
    pub fn take(
        &mut self,
        check: &HealthCheck,
        started: Timestamp,
        probe: Probe,
    ) -> Option<Status> {
        let before = self.status;
        let age = probe.start.duration_since(started);
        let tolerated = before == Status::Starting
            && Duration::try_from(age).unwrap_or_default() < check.start_period;
        if probe.exit_code == 0 {
            (self.status, self.failing_streak) = (Status::Healthy, 0);
        } else if !tolerated {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= check.retries {
                self.status = Status::Unhealthy;
            }
        }
        self.log.push(probe);
        let excess = self.log.len().saturating_sub(KEPT);
        self.log.drain(..excess);
        (self.status != before).then_some(self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> HealthCheck {
        let second = Duration::from_secs;
        HealthCheck {
            command: vec![Text(b"true".to_vec())],
            interval: second(30),
            timeout: second(30),
            start_period: second(60),
            start_interval: second(5),
            retries: 2,
        }
    }

    fn probe(at: i64, exit_code: i32) -> Probe {
        let start = Timestamp::from_second(at).unwrap();
        Probe { start, end: start, exit_code, output: String::new() }
    }

    #[test]
    fn enough_failures_in_a_row_are_a_verdict_and_one_success_is_another() {
        let (mut health, started) = (Health::default(), Timestamp::UNIX_EPOCH);
        let verdicts: Vec<_> = [(70, 1), (100, 0), (130, -1), (160, 1), (190, 1), (220, 0)]
            .map(|(at, code)| health.take(&check(), started, probe(at, code)))
            .to_vec();
        let (well, ill) = (Some(Status::Healthy), Some(Status::Unhealthy));
        assert_eq!(verdicts, [None, well, None, ill, None, well]);
        assert_eq!((health.failing_streak, health.log.len()), (0, KEPT));
        assert_eq!(health.log[0].exit_code, 0, "the oldest is gone");
    }

    #[test]
    fn failures_do_not_count_while_it_starts() {
        let (mut health, started) = (Health::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(check().pause(&health, Duration::from_secs(59)), Duration::from_secs(5));
        for at in [5, 10, 59] {
            assert_eq!(health.take(&check(), started, probe(at, 1)), None);
        }
        assert_eq!(health.failing_streak, 0);
        assert_eq!(check().pause(&health, Duration::from_secs(60)), Duration::from_secs(30));
        health.take(&check(), started, probe(60, 1));
        assert_eq!(health.take(&check(), started, probe(90, 1)), Some(Status::Unhealthy));
    }
}
