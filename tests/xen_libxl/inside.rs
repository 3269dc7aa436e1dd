//! Runs the body of a test in Dom0.

use std::any::type_name;
use std::fs;
use std::sync::OnceLock;

use testbed::Dom0;

/// Set where the body shall run.
const INSIDE: &str = "VXN_TEST_INSIDE_DOM0";
/// This test binary in Dom0, where anyone may execute it.
const PROGRAM: &str = "/usr/local/bin/xen_libxl";

/// Runs `body` in Dom0 as root.
pub fn dom0<F: FnOnce()>(body: F) {
    dom0_by(&[], body);
}

/// Runs `body` in Dom0 by a program that takes a command, such as `setpriv`.
pub fn dom0_by<F: FnOnce()>(launcher: &[&str], body: F) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let Some(dom0) = testbed::shared() else { return };
    install(dom0);
    let test = test_name::<F>();
    let this_test = [PROGRAM, "--exact", &test, "--nocapture"];
    let command = launcher.iter().chain(&this_test);
    let output = dom0.command(command).env(INSIDE, "1").run().expect("ssh works");
    let passed = output.code == 0 && output.text().contains("1 passed");
    assert!(passed, "{test} failed in Dom0: {output}");
}

fn install(dom0: &Dom0) {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let this = std::env::current_exe().expect("a path");
        dom0.write(PROGRAM, fs::read(this).expect("this program")).expect("room in Dom0");
        dom0.run(["chmod", "755", PROGRAM]).expect("ssh works");
    });
}

/// The path of the test that a closure is defined in, without the crate.
fn test_name<F>() -> String {
    let name = type_name::<F>().trim_end_matches("::{{closure}}");
    name.split_once("::").map_or(name, |(_, path)| path).to_owned()
}
