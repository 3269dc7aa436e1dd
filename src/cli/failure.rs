//! How vxn says that something failed: one line, and a hint.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::container::report::Report;

/// A failure ready to be shown, also by another process than the one that failed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    error: String,
    hint: Option<String>,
    console: Vec<String>,
}

impl Failure {
    /// What failed, in one line.
    pub fn error(&self) -> &str {
        &self.error
    }

    /// Writes the failure to stderr and gives the exit code back.
    pub fn print(&self, code: u8) -> ExitCode {
        self.print_after("vxn: ", code)
    }

    /// The same, with another word in front: whoever calls a runtime puts its own.
    pub fn print_after(&self, prefix: &str, code: u8) -> ExitCode {
        if !self.console.is_empty() {
            eprintln!("The DomU's last words:");
            self.console.iter().for_each(|line| eprintln!("  {line}"));
        }
        eprintln!("{prefix}{}", self.error);
        if let Some(hint) = &self.hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(code)
    }
}

impl Failure {
    /// The failure as an error that goes on its way.
    pub fn into_error(self) -> anyhow::Error {
        let Failure { mut error, hint, console } = self;
        if !console.is_empty() {
            error = format!("{error}; the DomU's last words: {}", console.join("; "));
        }
        let error = anyhow::anyhow!(error);
        match hint {
            Some(hint) => error.context(Hint(hint)),
            None => error,
        }
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Failure {
        let error = report.error.unwrap_or_default();
        Failure { error: one_line(&error), hint: report.hint, console: report.console }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        let given = error.downcast_ref::<Hint>().map(|h| h.0.clone());
        // The hint is a context too, but not a part of the sentence.
        let mut words: Vec<String> =
            error.chain().map(ToString::to_string).filter(|w| Some(w) != given.as_ref()).collect();
        // Many errors say their source's words in their own.
        words.dedup_by(|source, error| error.contains(source.as_str()));
        let hint = given.or_else(|| error.chain().find_map(hint));
        Failure { error: one_line(&words.join(": ")), hint, console: Vec::new() }
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("; ")
}

/// A hint that any error of the chain carries.
fn hint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    None.or_else(|| error.downcast_ref::<crate::image::Error>()?.hint())
        .or_else(|| error.downcast_ref::<crate::libxl::Error>()?.hint().map(str::to_owned))
        .or_else(|| error.downcast_ref::<crate::kernel::Error>()?.hint().map(str::to_owned))
        .or_else(|| error.downcast_ref::<crate::container::store::Error>()?.hint())
        .or_else(|| error.downcast_ref::<crate::network::Error>()?.hint())
        .or_else(|| error.downcast_ref::<crate::volume::Error>()?.hint())
        .or_else(|| Some(error.downcast_ref::<crate::container::plan::Error>()?.hint().into()))
}

/// A hint that goes along as the context of an error which has none.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Hint(pub String);

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn words_are_said_once_and_hints_apart() {
        let source = std::io::Error::other("no such thing");
        let error = crate::config::Error::Read { path: "/x".into(), source };
        let failure = Failure::from(anyhow::Error::from(error).context("cannot go on"));
        let expected = "cannot go on: cannot read the settings file /x: no such thing";
        assert_eq!((failure.error.as_str(), failure.hint), (expected, None));

        let given: anyhow::Result<()> = Err(anyhow::anyhow!("a")).context(Hint("b".to_owned()));
        let failure = Failure::from(given.unwrap_err());
        assert_eq!((failure.error.as_str(), failure.hint.as_deref()), ("a", Some("b")));
    }
}
