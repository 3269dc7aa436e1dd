//! The suites of tests on real Xen. Each boots a Dom0 of its own, whose emulator keeps
//! little more than one core busy: two at a time take half the time.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::test::cargo;

/// How many run at a time: what a small machine has cores and memory for.
const LANES: usize = 2;
/// The longest first: they end last.
const LONG: [&str; 2] = ["xen_container", "xen_run"];

/// Runs all of them, each one's output in a piece when it has ended.
///
/// # Errors
/// Those that failed, by name.
pub fn run() -> Result<()> {
    let suites = names()?;
    eprintln!("xtask: checking the suites on Xen, {LANES} at a time: {}", join(&suites));
    // They would build it one after the other, and none of them is built twice.
    let build = cargo(&["test", "--workspace", "--test", "xen_*", "--no-run"]).status()?;
    if !build.success() {
        bail!("the suites on Xen do not build");
    }
    let queue = Mutex::new(VecDeque::from(suites));
    let failed = Mutex::new(Vec::new());
    let next = || lock(&queue).pop_front();
    let lane = || {
        while let Some(suite) = next() {
            if let Err(error) = one(&suite) {
                eprintln!("xtask: {error:#}");
                lock(&failed).push(suite);
            }
        }
    };
    thread::scope(|scope| (0..LANES).for_each(|_| drop(scope.spawn(lane))));
    let failed = lock(&failed);
    if !failed.is_empty() {
        bail!("suites on Xen that failed: {}", join(&failed));
    }
    Ok(())
}

/// Runs one to its end and prints what it printed.
fn one(suite: &str) -> Result<()> {
    eprintln!("xtask: {suite}: started");
    let start = Instant::now();
    let mut output = tempfile::tempfile().context("no file for a suite's output")?;
    let status = cargo(&["test", "--workspace", "--test", suite])
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .status()?;
    print(&mut output)?;
    let seconds = start.elapsed().as_secs();
    if !status.success() {
        bail!("{suite}: failed after {seconds} s: {status}");
    }
    eprintln!("xtask: {suite}: fine after {seconds} s");
    Ok(())
}

/// In a piece: the other lane waits for the lock.
fn print(output: &mut File) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    output.rewind()?;
    io::copy(output, &mut stdout)?;
    stdout.flush()
}

/// The suites of `tests/` that are run by cargo, the long ones first.
fn names() -> Result<Vec<String>> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests");
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let name = name.strip_suffix(".rs").unwrap_or(&name);
        if name.starts_with("xen_") {
            names.push(name.to_owned());
        }
    }
    names.sort_by_key(|name| (!LONG.contains(&name.as_str()), name.clone()));
    Ok(names)
}

fn join(names: &[String]) -> String {
    names.join(", ")
}

/// What a lane left behind when it panicked is whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
