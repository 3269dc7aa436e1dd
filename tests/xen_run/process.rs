//! What runs in the container: arguments, environment, user, directory.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::{BUSYBOX, CONFIGURED, TYPES, shared, vxn};

#[test]
fn echo_prints_its_word_and_nothing_else() {
    let Some(host) = shared() else { return };
    for kind in TYPES {
        let output =
            vxn(host.dom0, ["--rm", "--type", kind, BUSYBOX, "echo", "hello"]).run().unwrap();
        assert_eq!((output.code, &*output.stdout), (0, &b"hello\n"[..]), "{output}");
        assert!(output.stderr.is_empty(), "{output}");
    }
}

#[test]
fn exit_codes_come_through() {
    let Some(host) = shared() else { return };
    let cases: [(&[&str], i32, &[&str]); 7] = [
        (&["sh", "-c", "exit 7"], 7, &TYPES),
        (&["sh", "-c", "kill -9 $$"], 137, &TYPES),
        (&["sh", "-c", "kill -TERM $$"], 143, &TYPES),
        (&["/no/such/program"], 127, &["pv"]),
        (&["no-such-program"], 127, &TYPES),
        (&["/fixtures/not-executable"], 126, &TYPES),
        (&["/fixtures/unknown-format"], 126, &["pv"]),
    ];
    for (command, code, types) in cases {
        for kind in types {
            let run = vxn(host.dom0, ["--rm", "--type", kind, BUSYBOX]).args(command);
            let output = run.run().unwrap();
            assert_eq!(output.code, code, "{output}");
            let words = code == 126 || code == 127;
            assert_eq!(!output.stderr.is_empty(), words, "{output}");
        }
    }
}

#[test]
fn arguments_arrive_unchanged() {
    let Some(host) = shared() else { return };
    let words: [&[u8]; 9] = [
        b"a b",
        b"",
        b"'single' \"double\"",
        b"line\nbreak",
        b"$HOME ${x} $(id) `id`",
        b"; | & > <",
        b"\xff\xfe\x80",
        b"-rm",
        b"\\ * ? [a]",
    ];
    let expected: Vec<u8> = words.iter().flat_map(|w| [b"[", *w, b"]"].concat()).collect();
    for kind in TYPES {
        let args = words.iter().map(|w| OsString::from_vec(w.to_vec()));
        let run = vxn(host.dom0, ["--rm", "--type", kind, BUSYBOX, "printf", "[%s]"]).args(args);
        let output = run.run().unwrap().success().unwrap();
        assert_eq!(output.stdout, expected, "{output}");
    }
}

#[test]
fn flags_do_what_docker_does() {
    let Some(host) = shared() else { return };
    host.dom0.write("/tmp/env-file", "# comment\n\nFILE=from file\nBOTH=file\nHERE\n").unwrap();
    let script = "echo $A; echo $FILE; echo $BOTH; echo $HERE; pwd; id -u; id -g; hostname; \
                  echo $HOME; cat /etc/hostname; grep -qw box1 /etc/hosts && echo named";
    let flags = [
        "--hostname",
        "box1",
        "-e",
        "A=a b",
        "-e",
        "BOTH=flag",
        "--env-file",
        "/tmp/env-file",
        "-w",
        "/made/here",
        "-u",
        "user",
        BUSYBOX,
        "sh",
        "-c",
        script,
    ];
    let expected =
        "a b\nfrom file\nflag\nfrom here\n/made/here\n1000\n1000\nbox1\n/home/user\nbox1\nnamed";
    for kind in TYPES {
        let run = vxn(host.dom0, ["--rm", "--type", kind]).args(flags);
        let run = run.env("HERE", "from here");
        assert_eq!(run.run().unwrap().success().unwrap().text(), expected, "{kind}");
    }
    let numbers = vxn(host.dom0, ["-u", "7:8", BUSYBOX, "sh", "-c", "id -u; id -g"]);
    assert_eq!(numbers.run().unwrap().success().unwrap().text(), "7\n8");
    let nobody = vxn(host.dom0, ["-u", "nosuch", BUSYBOX, "true"]).run().unwrap();
    assert_eq!(nobody.code, 125, "{nobody}");
    assert!(nobody.error_text().contains("nosuch"), "{nobody}");
}

#[test]
fn the_images_settings_are_honoured() {
    let Some(host) = shared() else { return };
    let run = |args: &[&str]| {
        let output = vxn(host.dom0, ["--rm"]).args(args).run().unwrap();
        output.success().unwrap().text()
    };
    assert_eq!(run(&[CONFIGURED]), "entrypoint\ndefault command");
    assert_eq!(run(&[CONFIGURED, "other", ""]), "entrypoint\nother\n");
    let script = "pwd; id -un; echo $FROM_IMAGE $BOTH";
    let entry = ["--entrypoint", "/bin/sh", "-e", "BOTH=flag", CONFIGURED, "-c", script];
    for kind in TYPES {
        let said = run(&[&["--type", kind], &entry[..]].concat());
        assert_eq!(said, "/work/made by the engine\nuser\nyes flag", "{kind}");
    }
}

#[test]
fn a_fresh_guest_has_entropy_and_the_right_time() {
    let Some(host) = shared() else { return };
    for kind in TYPES {
        let script = "date +%s; cut -d' ' -f1 /proc/uptime; head -c 32 /dev/random | wc -c; \
                      cut -d' ' -f1 /proc/uptime";
        let run = vxn(host.dom0, ["--rm", "--type", kind, BUSYBOX, "sh", "-c", script]);
        let text = run.run().unwrap().success().unwrap().text();
        let now: i64 = host.dom0.shell("date +%s").unwrap().text().parse().unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let guest: i64 = lines[0].parse().unwrap();
        // The clocks are compared a command and the end of a guest apart.
        assert!((0..=60).contains(&(now - guest)), "guest {guest}, Dom0 {now}");
        assert_eq!(lines[2], "32");
        let waited = lines[3].parse::<f64>().unwrap() - lines[1].parse::<f64>().unwrap();
        assert!(waited < 5.0, "32 random bytes took {waited} s");
    }
}

#[test]
fn a_real_debian_root_runs() {
    let Some(host) = shared() else { return };
    let script = ". /etc/os-release; echo $ID; dpkg --version | head -1 | cut -d' ' -f1";
    let run = vxn(host.dom0, ["--rm", "oci:/srv/images/debian", "bash", "-c", script]);
    assert_eq!(run.run().unwrap().success().unwrap().text(), "debian\nDebian");
}
