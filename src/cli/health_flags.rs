//! The flags of health checks, over the image's HEALTHCHECK, as docker has them.

use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;

use super::failure::Hint;
use crate::container::definition::Text;
use crate::container::health::HealthCheck;

/// No check comes sooner after the last one, whatever an image says.
const LEAST: Duration = Duration::from_millis(100);

/// What is longer is a mistake, and more than a clock can add.
const MOST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Health flags of `vxn run` and `vxn create`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Health")]
pub struct HealthFlags {
    /// Have a shell of the container execute this to see whether it is healthy.
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// From one check to the next; 30s if not said.
    #[arg(long, value_name = "DURATION", value_parser = pause)]
    health_interval: Option<Duration>,
    /// How many checks in a row have to fail; 3 if not said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    health_retries: Option<u32>,
    /// How long the container may take to become healthy; 0s if not said.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    health_start_period: Option<Duration>,
    /// From one check to the next meanwhile; 5s if not said.
    #[arg(long, value_name = "DURATION", value_parser = pause)]
    health_start_interval: Option<Duration>,
    /// How long a check may take; 30s if not said.
    #[arg(long, value_name = "DURATION", value_parser = pause)]
    health_timeout: Option<Duration>,
    /// Do without the image's health check.
    #[arg(
        long,
        conflicts_with_all = [
            "health_cmd", "health_interval", "health_retries", "health_start_period",
            "health_start_interval", "health_timeout",
        ]
    )]
    no_healthcheck: bool,
}

/// HEALTHCHECK in the configuration of an image; durations in nanoseconds, 0 is unsaid.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct OfImage {
    test: Vec<String>,
    interval: u64,
    timeout: u64,
    start_period: u64,
    start_interval: u64,
    retries: u32,
}

impl OfImage {
    /// As far as it can be read: whoever made the image may have written anything.
    fn read(value: &Value) -> OfImage {
        OfImage::deserialize(value).unwrap_or_else(|e| {
            tracing::warn!("the image's HEALTHCHECK is none: {e}");
            OfImage::default()
        })
    }
}

impl HealthFlags {
    /// The check of a container of an image with this configuration, if there is one.
    ///
    /// # Errors
    /// Flags about a check where there is none.
    pub fn check(self, image: &Value) -> anyhow::Result<Option<HealthCheck>> {
        let config = &image["config"];
        let of_image = config.get("Healthcheck").filter(|_| !self.no_healthcheck);
        let of_image = of_image.map(OfImage::read).unwrap_or_default();
        let shell: Option<Vec<String>> = config.get("Shell").and_then(|v| Vec::deserialize(v).ok());
        let shell = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
        let test = match &self.health_cmd {
            Some(command) => vec!["CMD-SHELL".to_owned(), command.clone()],
            None => of_image.test.clone(),
        };
        let Some(command) = command(test, shell) else { return self.without() };
        let nanos = |nanos: u64| (nanos > 0).then(|| Duration::from_nanos(nanos));
        let either = |flag: Option<Duration>, image, default| {
            flag.or(nanos(image)).unwrap_or(Duration::from_secs(default))
        };
        Ok(Some(HealthCheck {
            command: command.into_iter().map(|word| Text(word.into_bytes())).collect(),
            interval: either(self.health_interval, of_image.interval, 30).max(LEAST),
            timeout: either(self.health_timeout, of_image.timeout, 30).max(LEAST),
            start_period: either(self.health_start_period, of_image.start_period, 0),
            start_interval: either(self.health_start_interval, of_image.start_interval, 5)
                .max(LEAST),
            retries: self.health_retries.or(Some(of_image.retries)).filter(|n| *n > 0).unwrap_or(3),
        }))
    }

    /// There is no check: nothing may be said of it.
    fn without(self) -> anyhow::Result<Option<HealthCheck>> {
        let said = self.health_interval.or(self.health_timeout).or(self.health_start_period);
        if said.or(self.health_start_interval).is_some() || self.health_retries.is_some() {
            let error = anyhow::anyhow!("there is no health check that --health-… could change");
            let hint = "the image has none: give one with --health-cmd";
            return Err(error.context(Hint(hint.to_owned())));
        }
        Ok(None)
    }
}

/// What is executed for a test, if anything.
fn command(test: Vec<String>, shell: Vec<String>) -> Option<Vec<String>> {
    let (kind, words) = test.split_first()?;
    match (kind.as_str(), words) {
        ("CMD", [_, ..]) => Some(words.to_vec()),
        ("CMD-SHELL", [command]) if !command.is_empty() => {
            Some(shell.into_iter().chain([command.clone()]).collect())
        }
        _ => None,
    }
}

/// `1m30s`, as docker writes durations.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
    let parsed = parsed.filter(|long| *long <= MOST);
    parsed.ok_or_else(|| format!("{text:?} is no duration such as 1m30s"))
}

/// A duration that something takes.
fn pause(text: &str) -> Result<Duration, String> {
    let long = duration(text)?;
    if long >= LEAST { Ok(long) } else { Err(format!("{text} is less than 100ms")) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: HealthFlags,
    }

    fn check(words: &[&str], image: &Value) -> anyhow::Result<Option<HealthCheck>> {
        Line::try_parse_from([&["run"], words].concat())?.flags.check(image)
    }

    fn words(check: &HealthCheck) -> Vec<String> {
        check.command.iter().map(Text::lossy).collect()
    }

    #[test]
    fn flags_are_over_the_image_and_defaults_below_it() {
        let image = json!({ "config": { "Shell": ["/bin/ash", "-ec"], "Healthcheck": {
            "Test": ["CMD", "ok", "-v"], "Interval": 7_000_000_000_u64, "Retries": 9, "Timeout": 1,
        } } });
        let own = check(&[], &image).unwrap().unwrap();
        assert_eq!(words(&own), ["ok", "-v"]);
        assert_eq!((own.interval, own.timeout, own.retries), (Duration::from_secs(7), LEAST, 9));
        assert_eq!(own.start_interval, Duration::from_secs(5));
        let flags =
            ["--health-cmd", "true; false", "--health-interval=1m30s", "--health-retries=1"];
        let other = check(&flags, &image).unwrap().unwrap();
        assert_eq!(words(&other), ["/bin/ash", "-ec", "true; false"]);
        assert_eq!((other.interval, other.retries), (Duration::from_secs(90), 1));
        assert_eq!(check(&["--no-healthcheck"], &image).unwrap(), None);
        let bare = check(&["--health-cmd=x"], &Value::Null).unwrap().unwrap();
        assert_eq!(words(&bare), ["/bin/sh", "-c", "x"]);
    }

    #[test]
    fn flags_without_a_check_and_what_means_nothing_are_refused() {
        let none = json!({ "config": { "Healthcheck": { "Test": ["NONE"] } } });
        assert_eq!(check(&[], &none).unwrap(), None);
        let odd = json!({ "config": { "Healthcheck": { "Test": 7, "Interval": -1 } } });
        assert_eq!(check(&[], &odd).unwrap(), None);
        assert!(check(&["--health-retries=2"], &none).is_err());
        for flag in [
            "--health-interval=-1s",
            "--health-start-period=9999999h",
            "--health-interval=1ms",
            "--health-timeout=soon",
        ] {
            assert!(check(&["--health-cmd=x", flag], &none).is_err(), "{flag}");
        }
        assert!(check(&["--no-healthcheck", "--health-cmd=x"], &none).is_err());
    }
}
