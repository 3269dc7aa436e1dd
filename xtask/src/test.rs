//! `cargo xtask test`: everything that has to hold before a change goes in.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use testbed::{shared, tool};

use crate::artifacts;

/// Runs all of it, the quick checks first.
pub fn run() -> Result<ExitCode> {
    optional("cargo-fmt", "the format", &["fmt", "--all", "--check"])?;
    // The tests find it in the cache and in cargo's target directory.
    drop(artifacts::make()?);
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    optional("cargo-clippy", "clippy", &clippy)?;
    let deny = ["deny", "check", "bans", "licenses", "sources"];
    optional("cargo-deny", "licences and sources", &deny)?;
    step("the tests", &["test", "--workspace", "--no-fail-fast"])?;
    Ok(ExitCode::SUCCESS)
}

/// A check by a part of cargo that a machine with Rust may lack.
fn optional(program: &str, what: &str, args: &[&str]) -> Result<()> {
    if tool::exists(program) {
        return step(what, args);
    }
    eprintln!("SKIPPED: {what}: {program} is not installed");
    Ok(())
}

fn step(what: &str, args: &[&str]) -> Result<()> {
    eprintln!("xtask: checking {what}: cargo {}", args.join(" "));
    let start = Instant::now();
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = tool::command(program);
    // A test says where it failed; the frames of its harness only hide that.
    let status = cargo.args(args).env(shared::REQUIRED, "1").env("RUST_BACKTRACE", "0").status()?;
    if !status.success() {
        bail!("{what}: cargo {} failed: {status}", args[0]);
    }
    eprintln!("xtask: {what}: fine after {} s", start.elapsed().as_secs());
    Ok(())
}
