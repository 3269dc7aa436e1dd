//! `vxn check`: what this host lacks, and how to get it.

mod probes;

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::config::Settings;

/// Say what this host lacks to run containers as Xen DomUs, and how to get it.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The result of looking at one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    name: String,
    /// Nothing works without it.
    required: bool,
    ok: bool,
    /// What was found, or why not.
    detail: String,
    /// How to get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Finding {
    fn ok(name: impl Into<String>, detail: impl Into<String>) -> Finding {
        let (name, detail) = (name.into(), detail.into());
        Finding { name, required: true, ok: true, detail, hint: None }
    }

    fn missing(
        name: impl Into<String>,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Finding {
        Finding { ok: false, hint: Some(hint.into()), ..Finding::ok(name, detail) }
    }

    /// The same, of something that only some uses need.
    fn optional(self) -> Finding {
        Finding { required: false, ..self }
    }
}

/// Runs `vxn check`. The exit code is 1 when something required is missing.
pub fn run(args: &CheckArgs, settings: &Settings) -> Result<ExitCode> {
    let findings = probes::all(settings);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        print!("{}", report(&findings));
    }
    let lacking = findings.iter().any(|finding| finding.required && !finding.ok);
    Ok(ExitCode::from(u8::from(lacking)))
}

fn report(findings: &[Finding]) -> String {
    let mut text = String::new();
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or_default();
    for Finding { name, required, ok, detail, hint } in findings {
        let verdict = match (ok, required) {
            (true, _) => "ok",
            (false, true) => "MISSING",
            (false, false) => "absent",
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "{verdict:<8} {name:<width$}  {detail}");
        if let Some(hint) = hint {
            let _ = writeln!(text, "{:<8} {:<width$}  hint: {hint}", "", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_line_for_each_finding_and_hint() {
        let findings = [
            Finding::ok("Xen", "4.17"),
            Finding::missing("skopeo", "not in $PATH", "apt install skopeo"),
            Finding::missing("dom0_mem", "not set", "set it").optional(),
        ];
        let expected = "ok       Xen       4.17\n\
                        MISSING  skopeo    not in $PATH\n                   \
                        hint: apt install skopeo\n\
                        absent   dom0_mem  not set\n                   \
                        hint: set it\n";
        assert_eq!(report(&findings), expected);
    }
}
