//! What a person or a caller wants to know: of a container, of all, of the runtime.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::{NAME, Runtime, start};
use crate::oci::hooks::Moment;
use crate::oci::state::{Record, Status};
use crate::oci::{SPEC_VERSION, bundle};
use crate::seccomp;

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns.
    Table,
    /// An array.
    Json,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How it is printed.
    #[arg(short, long, default_value = "table")]
    format: Format,
    /// Ids alone.
    #[arg(short, long)]
    quiet: bool,
}

/// Arguments of `ps`.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// How it is printed.
    #[arg(short, long, default_value = "table")]
    format: Format,
    /// The container's id.
    id: String,
}

/// Arguments of `spec`.
#[derive(Debug, Args)]
pub struct SpecArgs {
    /// The bundle's directory.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    bundle: PathBuf,
}

/// Prints how a container is.
pub fn state(args: &start::Id, runtime: &Runtime<'_>) -> Result<ExitCode> {
    print(&described(&runtime.find(&args.id)?, runtime)?)
}

/// A container, by the specification's `state` and runc's additions to it.
fn described(record: &Record, runtime: &Runtime<'_>) -> Result<Value> {
    let status = record.status(runtime.run())?;
    let mut described = record.state(status.word());
    described["pid"] = if status == Status::Stopped { 0.into() } else { record.pid.into() };
    described["rootfs"] = json!(record.rootfs);
    described["created"] = json!(record.created);
    described["owner"] = "root".into();
    Ok(described)
}

/// Lists all containers.
pub fn list(args: &ListArgs, runtime: &Runtime<'_>) -> Result<ExitCode> {
    let all = runtime.states.list()?;
    if args.quiet {
        let mut out = io::stdout().lock();
        all.iter().try_for_each(|record| writeln!(out, "{}", record.id))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = all.iter().map(|record| described(record, runtime)).collect::<Result<Vec<_>>>()?;
    if args.format == Format::Json {
        return print(&Value::from(rows));
    }
    let mut out = io::stdout().lock();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    writeln!(out, "{:<24} {:>8} {:<9} {:<32} CREATED", "ID", "PID", "STATUS", "BUNDLE")?;
    for row in &rows {
        let [id, status, bundle, created] =
            ["id", "status", "bundle", "created"].map(|key| text(row, key));
        writeln!(out, "{id:<24} {:>8} {status:<9} {bundle:<32} {created}", row["pid"])?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists the one process that this host has of a container.
pub fn ps(args: &PsArgs, runtime: &Runtime<'_>) -> Result<ExitCode> {
    let record = runtime.find(&args.id)?;
    if record.status(runtime.run())? == Status::Stopped {
        bail!("container not running");
    }
    match args.format {
        Format::Json => print(&json!([record.pid])),
        Format::Table => {
            writeln!(io::stdout(), "PID\n{}", record.pid)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Writes a configuration to begin with.
pub fn spec(args: &SpecArgs) -> Result<ExitCode> {
    bundle::template(&args.bundle)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints versions, in the words that callers look for.
pub fn version() -> Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    writeln!(io::stdout(), "{NAME} version {version}\nspec: {SPEC_VERSION}")?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what this runtime can do, after the specification's features.md.
pub fn features() -> Result<ExitCode> {
    print(&supported())
}

fn supported() -> Value {
    let off = json!({ "enabled": false });
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC_VERSION,
        "hooks": Moment::ALL.map(Moment::word),
        "mountOptions": ["bind", "rbind", "private", "rprivate", "ro", "rw", "nosuid", "noexec"],
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "uts"],
            "cgroup": { "v1": false, "v2": true, "systemd": false, "systemdUser": false },
            "seccomp": {
                "enabled": true,
                "actions": seccomp::ACTIONS,
                "operators": seccomp::OPERATORS,
                "archs": seccomp::ARCHITECTURES,
                "knownFlags": seccomp::KNOWN_FLAGS,
                "supportedFlags": seccomp::FLAGS,
            },
            "apparmor": off,
            "selinux": off,
            "intelRdt": off,
        },
    })
}

fn print(value: &Value) -> Result<ExitCode> {
    writeln!(io::stdout(), "{value:#}")?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_the_specifications_words() {
        let seccomp = &supported()["linux"]["seccomp"];
        let has = |key: &str, word: &str| {
            let list = seccomp[key].as_array().unwrap();
            assert!(list.iter().any(|one| one == word), "no {word} in {key}: {list:?}");
        };
        has("actions", "SCMP_ACT_KILL_PROCESS");
        has("operators", "SCMP_CMP_MASKED_EQ");
        has("knownFlags", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
        has("supportedFlags", "SECCOMP_FILTER_FLAG_SPEC_ALLOW");
        #[cfg(target_arch = "x86_64")]
        has("archs", "SCMP_ARCH_X86_64");
        let listener = json!("SCMP_ACT_NOTIFY");
        assert!(!seccomp["actions"].as_array().unwrap().contains(&listener));
    }
}
