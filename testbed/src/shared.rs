//! One Dom0 for all tests of a test binary.

use std::io::{Write, stderr};
use std::panic::Location;
use std::sync::OnceLock;
use std::thread;

use anyhow::Result;

use crate::dom0::{Dom0, Options};
use crate::dom0_image::Dom0Image;
use crate::install::{Install, Programs};
use crate::{images, qemu, tool};

/// The environment variable that makes missing pieces an error.
pub const REQUIRED: &str = "VXN_TESTBED_REQUIRED";

static DOM0: OnceLock<Result<Dom0, String>> = OnceLock::new();

/// The Dom0 of this test binary, booted by the first test that asks, with this
/// tree's vxn and the images under test. It ends with the process.
///
/// `None`: this machine lacks what it takes; the caller returns, and a line that
/// starts with SKIPPED has said so. Under `CI` or `cargo xtask test` that is a
/// failure.
///
/// # Panics
/// If Dom0 does not boot, with its last console lines.
#[track_caller]
pub fn shared() -> Option<&'static Dom0> {
    if let Some(reason) = missing() {
        assert!(!required(), "{reason}");
        // Past the test harness, which keeps what a passing test prints.
        let _ = writeln!(stderr(), "SKIPPED: {}: {reason}", test_name());
        return None;
    }
    match DOM0.get_or_init(|| boot().map_err(|error| format!("{error:#}"))) {
        Ok(dom0) => Some(dom0),
        Err(error) => panic!("{error}"),
    }
}

/// Builds and boots what this tree holds.
fn boot() -> Result<Dom0> {
    let image = Dom0Image::get()?;
    let install = Install::new(&Programs::build()?, &image)?;
    Dom0::boot(&Options {
        name: suite_name(),
        install: Some(install.dir().to_owned()),
        images: Some(images::get()?),
        share: None,
    })
}

/// What keeps a Dom0 from booting here, if anything does.
fn missing() -> Option<String> {
    for program in [qemu::PROGRAM, "ssh", "setpriv"] {
        if !tool::exists(program) {
            return Some(format!("{program} is not installed; cargo xtask test installs it"));
        }
    }
    let cached =
        || Ok::<_, anyhow::Error>(Dom0Image::cached()?.is_some() && images::cached()?.is_some());
    match cached() {
        Ok(true) => None,
        Ok(false) => Some("the Dom0 image is not built; cargo xtask test builds it".to_owned()),
        Err(error) => Some(format!("{error:#}")),
    }
}

fn required() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    set(REQUIRED) || std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// The test that runs on this thread. With one test thread the harness runs
/// tests on the main one: then the place of the call has to do.
#[track_caller]
fn test_name() -> String {
    match thread::current().name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => Location::caller().to_string(),
    }
}

/// The name of this test binary without cargo's hash.
fn suite_name() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let name = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    name.rsplit_once('-').map_or(name.clone(), |(suite, _)| suite.to_owned())
}
