//! What vxn writes as an OCI runtime, and what it makes of configurations, held against the
//! JSON schemas of the specification. Needs mmdebstrap.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testbed::schemas::{Kind, Schemas};
use vxn::oci::bundle::Bundle;

fn vxn(args: &[&str]) -> Vec<u8> {
    let output = testbed::tool::command(env!("CARGO_BIN_EXE_vxn")).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// The configuration that `vxn oci spec` writes.
fn template() -> Value {
    let dir = tempfile::tempdir().unwrap();
    vxn(&["oci", "spec", "--bundle", dir.path().to_str().unwrap()]);
    serde_json::from_slice(&fs::read(dir.path().join("config.json")).unwrap()).unwrap()
}

#[test]
fn features_and_the_template_are_as_specified() {
    let schemas = Schemas::get().unwrap();
    let features = serde_json::from_slice(&vxn(&["oci", "features"])).unwrap();
    schemas.check(Kind::Features, &features).unwrap();
    schemas.check(Kind::Config, &template()).unwrap();
}

/// What loading the bundle at `dir` with `config` says; nothing if it is taken.
fn complaint(dir: &Path, config: &Value) -> Option<String> {
    fs::write(dir.join("config.json"), config.to_string()).unwrap();
    Bundle::load(dir).err().map(|e| e.to_string())
}

/// A place in a configuration, what is wrong there, and the words that the error has of it.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("/ociVersion", "1", "ociVersion"),
    ("/hostname", "5", "hostname"),
    ("/root", "[]", "root"),
    ("/root/path", "null", "root.path"),
    ("/root/readonly", "\"yes\"", "root.readonly"),
    ("/annotations", "[]", "annotations"),
    ("/annotations", "{\"a\": 1}", "annotations.a"),
    ("/process/args", "\"sh\"", "process.args"),
    ("/process/args", "[7]", "process.args[0]"),
    ("/process/cwd", "7", "process.cwd"),
    ("/process/env", "{}", "process.env"),
    ("/process/user/uid", "-1", "process.user.uid"),
    ("/process/user/uid", "4294967296", "process.user.uid"),
    ("/process/user/additionalGids", "[\"x\"]", "process.user.additionalGids[0]"),
    ("/process/user/umask", "\"022\"", "process.user.umask"),
    ("/process/terminal", "\"yes\"", "process.terminal"),
    ("/process/consoleSize", "{\"height\": -1, \"width\": 1}", "process.consoleSize.height"),
    ("/process/rlimits", "[{\"type\": \"RLIMIT_CPU\"}]", "process.rlimits[0]"),
    (
        "/process/rlimits",
        "[{\"type\": \"CPU\", \"soft\": 1, \"hard\": 1}]",
        "process.rlimits[0].type",
    ),
    ("/process/capabilities/bounding", "\"CAP_KILL\"", "process.capabilities.bounding"),
    ("/process/oomScoreAdj", "\"high\"", "process.oomScoreAdj"),
    ("/process/noNewPrivileges", "1", "process.noNewPrivileges"),
    ("/mounts", "{}", "mounts"),
    ("/mounts", "[{\"source\": \"/x\"}]", "mounts[0]"),
    ("/mounts/0/options", "\"ro\"", "mounts[0].options"),
    ("/hooks", "{\"prestart\": {}}", "hooks.prestart"),
    ("/hooks", "{\"poststop\": [{\"args\": []}]}", "hooks.poststop[0]"),
    (
        "/hooks",
        "{\"poststop\": [{\"path\": \"/x\", \"timeout\": \"1\"}]}",
        "hooks.poststop[0].timeout",
    ),
    ("/linux/namespaces", "[{\"path\": \"/x\"}]", "linux.namespaces[0]"),
    ("/linux/namespaces", "[{\"type\": \"net\"}]", "linux.namespaces[0].type"),
    ("/linux/devices", "[{\"path\": \"/x\"}]", "linux.devices[0]"),
    ("/linux/sysctl", "{\"a\": 1}", "linux.sysctl.a"),
    ("/linux/cgroupsPath", "7", "linux.cgroupsPath"),
    ("/linux/maskedPaths", "\"/x\"", "linux.maskedPaths"),
    ("/linux/readonlyPaths", "[1]", "linux.readonlyPaths[0]"),
    ("/linux", "[]", "linux"),
    ("/process/capabilities", "[]", "process.capabilities"),
    ("/process/capabilities/effective", "[1]", "process.capabilities.effective[0]"),
    ("/linux/resources", "{\"memory\": {\"limit\": \"1G\"}}", "linux.resources.memory.limit"),
    ("/linux/resources", "{\"cpu\": {\"shares\": -1}}", "linux.resources.cpu.shares"),
    ("/linux/resources", "{\"cpu\": {\"cpus\": 0}}", "linux.resources.cpu.cpus"),
    ("/linux/resources", "{\"pids\": {\"limit\": \"max\"}}", "linux.resources.pids.limit"),
    (
        "/linux/resources",
        "{\"devices\": [{\"allow\": \"yes\"}]}",
        "linux.resources.devices[0].allow",
    ),
    ("/linux/seccomp", "{\"defaultAction\": \"SCMP_ACT_NO\"}", "linux.seccomp.defaultAction"),
    ("/linux/seccomp", "{}", "linux.seccomp"),
];

#[test]
fn what_the_schema_does_not_allow_is_refused_and_named() {
    let schemas = Schemas::get().unwrap();
    let good = template();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("rootfs")).unwrap();
    assert_eq!(complaint(dir.path(), &good), None);
    let mut wrong = Vec::new();
    for (place, value, words) in MISTAKES {
        let mut config = good.clone();
        let (object, field) = place.rsplit_once('/').unwrap();
        config.pointer_mut(object).unwrap()[field] = serde_json::from_str(value).unwrap();
        if schemas.check(Kind::Config, &config).is_ok() {
            wrong.push(format!("{place} {value}: the schema has nothing against it"));
        }
        match complaint(dir.path(), &config) {
            Some(said) if said.contains(&format!(": {words}: ")) => {}
            said => wrong.push(format!("{place} {value}: {said:?} and not {words}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_no_configuration_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    let said = || Bundle::load(dir.path()).unwrap_err().to_string();
    assert!(said().contains("config.json: No such file"), "{}", said());
    fs::create_dir(&path).unwrap();
    assert!(said().contains("config.json: Is a directory"), "{}", said());
    fs::remove_dir(&path).unwrap();
    for (text, words) in [
        ("", "EOF while parsing"),
        ("[]", "an array is no object"),
        ("{\"ociVersion\": \"1.0.2\"", "EOF while parsing"),
        ("{\"ociVersion\": \"1.0.2\"} {}", "trailing characters"),
        ("\u{0}", "expected value"),
    ] {
        fs::write(&path, text).unwrap();
        assert!(said().contains(words), "{text:?}: {}", said());
    }
    fs::File::create(&path).unwrap().set_len(17 << 20).unwrap();
    assert!(said().contains("it is larger than 16 MiB"), "{}", said());
    fs::write(&path, json!({"ociVersion": "1.0.2", "root": {"path": "x"}}).to_string()).unwrap();
    assert!(said().contains("there is no process"), "{}", said());
}
