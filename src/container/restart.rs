//! When a container is started again by itself.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// docker's `--restart`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// After a failure, at most so many times in a row.
    OnFailure(Option<u32>),
    /// Always, also when the host comes up.
    Always,
    /// As always, but not when the user had stopped it.
    UnlessStopped,
}

/// The pause before the first restart; each further one takes twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A life of this length forgives what was before.
const GOOD_LIFE: Duration = Duration::from_secs(10);

impl RestartPolicy {
    /// Whether a container that has ended with `code` is started again, after so
    /// many `restarts`, when the user did not end it.
    pub fn again(self, code: u8, restarts: u32) -> bool {
        match self {
            RestartPolicy::No => false,
            RestartPolicy::OnFailure(most) => code != 0 && most.is_none_or(|most| restarts < most),
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        }
    }

    /// Whether a container that does not run is to be brought back when the host
    /// comes up.
    pub fn at_boot(self, code: u8, stopped_by_user: bool) -> bool {
        match self {
            RestartPolicy::No => false,
            RestartPolicy::OnFailure(_) => code != 0 && !stopped_by_user,
            RestartPolicy::Always => true,
            RestartPolicy::UnlessStopped => !stopped_by_user,
        }
    }
}

/// How a monitor spaces restarts out.
#[derive(Debug, Default)]
pub struct Backoff {
    pause: Option<Duration>,
}

impl Backoff {
    /// The pause before the next start, after a life of length `life`.
    pub fn next(&mut self, life: Duration) -> Duration {
        let pause = match self.pause {
            Some(pause) if life < GOOD_LIFE => (pause * 2).min(LONGEST_PAUSE),
            _ => FIRST_PAUSE,
        };
        self.pause = Some(pause);
        pause
    }
}

impl Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestartPolicy::No => f.write_str("no"),
            RestartPolicy::OnFailure(None) => f.write_str("on-failure"),
            RestartPolicy::OnFailure(Some(most)) => write!(f, "on-failure:{most}"),
            RestartPolicy::Always => f.write_str("always"),
            RestartPolicy::UnlessStopped => f.write_str("unless-stopped"),
        }
    }
}

impl From<RestartPolicy> for String {
    fn from(policy: RestartPolicy) -> String {
        policy.to_string()
    }
}

impl TryFrom<String> for RestartPolicy {
    type Error = String;

    fn try_from(text: String) -> Result<RestartPolicy, String> {
        text.parse()
    }
}

impl FromStr for RestartPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<RestartPolicy, String> {
        match text.split_once(':') {
            None if text == "no" => Ok(RestartPolicy::No),
            None if text == "on-failure" => Ok(RestartPolicy::OnFailure(None)),
            None if text == "always" => Ok(RestartPolicy::Always),
            None if text == "unless-stopped" => Ok(RestartPolicy::UnlessStopped),
            Some(("on-failure", most)) => match most.parse() {
                Ok(most) => Ok(RestartPolicy::OnFailure(Some(most).filter(|&n| n > 0))),
                Err(_) => Err(format!("{most:?} is not a number of restarts")),
            },
            _ => Err(format!(
                "{text:?} is no restart policy: no, on-failure[:N], always or unless-stopped"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_and_written() {
        for text in ["no", "on-failure", "on-failure:3", "always", "unless-stopped"] {
            assert_eq!(text.parse::<RestartPolicy>().unwrap().to_string(), text);
        }
        assert_eq!("on-failure:0".parse(), Ok(RestartPolicy::OnFailure(None)));
        for text in ["", "never", "always:2", "on-failure:x"] {
            assert!(text.parse::<RestartPolicy>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_policy_looks_at_the_code_and_counts() {
        use RestartPolicy::{Always, No, OnFailure, UnlessStopped};
        assert!(!No.again(1, 0));
        assert!(Always.again(0, 100) && UnlessStopped.again(0, 100));
        assert!(OnFailure(None).again(1, 100) && !OnFailure(None).again(0, 0));
        assert!(OnFailure(Some(2)).again(1, 1) && !OnFailure(Some(2)).again(1, 2));
        assert!(Always.at_boot(0, true) && !UnlessStopped.at_boot(0, true));
        assert!(UnlessStopped.at_boot(0, false) && !OnFailure(None).at_boot(0, false));
    }

    #[test]
    fn pauses_grow_and_a_good_life_forgives() {
        let mut backoff = Backoff::default();
        let short = Duration::from_secs(1);
        let pauses: Vec<u128> = (0..12).map(|_| backoff.next(short).as_millis()).collect();
        assert_eq!(&pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[11], 60_000);
        assert_eq!(backoff.next(GOOD_LIFE), FIRST_PAUSE);
    }
}
