//! `vxn run` on real Xen, the short way round: one word out, arguments in, an
//! exit code, on PV and PVH. `tests/xen_run` has the long way.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use testbed::{Dom0, Output};

/// Two starts under software emulation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

fn run(dom0: &Dom0, kind: &str, args: &[&[u8]]) -> Output {
    let args = args.iter().map(|arg| OsString::from_vec(arg.to_vec()));
    let words = ["vxn", "run", "--rm", "-m", "160M", "--type", kind, "oci:/srv/images/busybox"];
    dom0.command(words).args(args).timeout(PATIENCE).run().unwrap()
}

#[test]
fn a_container_runs_as_a_domu() {
    let Some(dom0) = testbed::shared() else { return };
    let words: [&[u8]; 6] = [b"hello", b"a b", b"", b"line\nbreak", b"$HOME `id` ; |", b"\xff\xfe"];
    let expected: Vec<u8> = words.iter().flat_map(|w| [b"[", *w, b"]"].concat()).collect();
    for kind in ["pv", "pvh"] {
        let printf: Vec<&[u8]> = [&b"printf"[..], b"[%s]"].into_iter().chain(words).collect();
        let output = run(dom0, kind, &printf);
        assert_eq!(output.code, 0, "{output}");
        assert_eq!(output.stdout, expected, "{output}");
    }
    let output = run(dom0, "pv", &[b"sh", b"-c", b"echo err >&2; exit 7"]);
    assert_eq!((output.code, &*output.stdout), (7, &b""[..]), "{output}");
    assert!(output.error_text().contains("err"), "{output}");
    let left = dom0.shell("xl list | tail -n +3; losetup -l; ls -A /run/vxn/names").unwrap();
    assert_eq!(left.text(), "", "{left}");
}
