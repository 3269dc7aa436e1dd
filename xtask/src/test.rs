//! `cargo xtask test`: everything that has to hold before a change goes in.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use testbed::{shared, tool};

use crate::artifacts;

/// Runs all of it, the quick checks first.
pub fn run() -> Result<ExitCode> {
    let artifacts = artifacts::make()?;
    step("the format", &["fmt", "--all", "--check"])?;
    step("clippy", &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])?;
    if tool::exists("cargo-deny") {
        step("licences and sources", &["deny", "check", "bans", "licenses", "sources"])?;
    } else {
        eprintln!("xtask: cargo-deny is not installed: licences and sources are not checked");
    }
    // Only their presence in the cache matters from here on.
    drop(artifacts);
    step("the tests", &["test", "--workspace"])?;
    Ok(ExitCode::SUCCESS)
}

fn step(what: &str, args: &[&str]) -> Result<()> {
    eprintln!("xtask: checking {what}: cargo {}", args.join(" "));
    let start = Instant::now();
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = tool::command(program);
    let status = cargo.args(args).env(shared::REQUIRED, "1").status()?;
    if !status.success() {
        bail!("{what}: cargo {} failed: {status}", args[0]);
    }
    eprintln!("xtask: {what}: fine after {} s", start.elapsed().as_secs());
    Ok(())
}
