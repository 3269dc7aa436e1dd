use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn parse_text(text: &str) -> Result<DomainFile, String> {
    parse("a.cfg", text.as_bytes(), &[]).map_err(|e| e.to_string())
}

/// A configuration with `lines` after its five lines of what is needed.
fn with(lines: &str) -> Result<DomainFile, String> {
    let head = "name = 'web'\nmemory = 256\nkernel = '/boot/vmlinuz'\n\n# more\n";
    parse_text(&format!("{head}{lines}"))
}

#[track_caller]
fn refused(lines: &str, expected: &str) {
    assert_eq!(with(lines).unwrap_err(), expected);
}

#[test]
fn a_file_as_the_shell_backend_writes_it() {
    let file = parse_text(include_str!("../../../fuzz/seeds/xl_config/good-all-keys.cfg")).unwrap();
    let disk = |target: &str, vdev: &str, writable| Disk {
        target: target.into(),
        vdev: vdev.to_owned(),
        writable,
        script: None,
    };
    let expected = DomainFile {
        name: "vxn-web".into(),
        kind: Kind::Pv,
        memory_mib: 512,
        vcpus: 2,
        kernel: "/usr/share/vxn/x86_64/bzImage".into(),
        ramdisk: Some("/usr/share/vxn/x86_64/initramfs.cpio.gz".into()),
        extra: "console=hvc0 quiet loglevel=0 init=/init vcontainer.blk=xvd".into(),
        disks: vec![
            disk("/usr/share/vxn/x86_64/rootfs.img", "xvda", false),
            disk("/tmp/a,b=c/input.img", "xvdb", true),
        ],
        vifs: vec![Vif { bridge: Some("xenbr0".into()), ..Vif::default() }],
        on_poweroff: OnEnd::Destroy,
        on_reboot: OnEnd::Destroy,
        on_crash: OnEnd::Destroy,
    };
    assert_eq!(file, expected);
}

#[test]
fn defaults_are_those_of_xl() {
    let file = with("").unwrap();
    assert_eq!(file.kind, if cfg!(target_arch = "x86_64") { Kind::Pv } else { Kind::Pvh });
    assert_eq!((file.vcpus, file.extra.as_str(), file.ramdisk), (1, "", None));
    assert_eq!((file.on_poweroff, file.on_crash), (OnEnd::Destroy, OnEnd::Destroy));
    assert_eq!(file.on_reboot, OnEnd::Restart);
    assert!(file.disks.is_empty() && file.vifs.is_empty());
}

#[test]
fn strings_have_the_escapes_of_c() {
    let file = with(r#"extra = "a\"b\'c\\d\te\x41\101\7f""#).unwrap();
    assert_eq!(file.extra, "a\"b'c\\d\te\u{41}\u{41}\u{7}f");
    assert_eq!(
        with(r#"extra = 'say "x" # not a comment'"#).unwrap().extra,
        "say \"x\" # not a comment"
    );
    refused(
        r#"extra = "a\q""#,
        "a.cfg:6: unknown escape in a string (known: \\\\ \\' \\\" \\a \\b \\f \\n \\r \\t \\v \\xHH \\OOO)",
    );
    refused("extra = 'a", "a.cfg:6: the string does not end on its line");
    refused(r"extra = '\x0'", with(r"extra = '\xg0'").unwrap_err().as_str());
    refused(r"extra = '\0'", "a.cfg:6: extra: has a NUL in it");
    refused(r"name = '\xff'", "a.cfg:6: name: is not UTF-8");
}

#[test]
fn numbers_and_lists_are_those_of_xl() {
    assert_eq!(with("memory = 0x200; vcpus = '3'").unwrap().memory_mib, 512);
    assert_eq!(with("memory = 0700").unwrap().memory_mib, 448);
    let lists = "vif = [\n  'bridge=a',   # one\n\n  'bridge=b', ]\nvif += ['bridge=c']\nextra='a'\nextra+=' b'";
    let file = with(lists).unwrap();
    let bridges: Vec<_> = file.vifs.iter().map(|vif| vif.bridge.as_deref().unwrap()).collect();
    assert_eq!(bridges, ["a", "b", "c"]);
    assert_eq!(file.extra, "a b");
    assert_eq!(with("vif = [ '' ]").unwrap().vifs, [Vif::default()]);
    assert!(with("vif = []\r\ndisk = [ ]").unwrap().vifs.is_empty());
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    refused(
        "vcpus = 1\nmaxmem = 512",
        &format!("a.cfg:7: unknown key \"maxmem\" (known: {})", KEYS.join(", ")),
    );
    refused("type = 'hvm'", "a.cfg:6: type: \"hvm\" is not supported (known: pv, pvh)");
    refused("memory = 0", "a.cfg:6: memory: \"0\" is not a positive number");
    refused("memory = 5000000000", "a.cfg:6: memory: \"5000000000\" is not a positive number");
    refused("name = ['a']", "a.cfg:6: name: a string is needed here, not a list");
    refused("name = '7'", "a.cfg:6: name: \"7\" is no name (not empty, no slash, not digits only)");
    refused("disk = 'x'", "a.cfg:6: disk: a list is needed here: disk = [ '…' ]");
    refused("serial = 'tcp:1'", "a.cfg:6: serial: \"tcp:1\" is not supported (known: pty)");
    refused(
        "on_crash = 'coredump-destroy'",
        "a.cfg:6: on_crash: \"coredump-destroy\" is not supported (known: destroy, restart, preserve)",
    );
    refused("extra = quiet", "a.cfg:6: quiet needs quotes around it");
    refused("extra 'quiet'", "a.cfg:6: '=' is missing after extra");
    refused("extra = 'a' 'b'", "a.cfg:6: the end of the line is needed here");
    refused("Extra = 'a'", "a.cfg:6: 'E' is not expected");
    refused("vif = [ 'mtu=1',\n 'bridge=b'", "a.cfg:7: ',' or ']' is needed here");
    refused("vif = [ ['a'] ]", "a.cfg:6: a string or ']' is needed here");
    refused("extra = ['a']\nextra += 'b'", "a.cfg:7: a list and a string cannot be added");
    assert_eq!(parse_text("name = 'a'\nmemory=1\n").unwrap_err(), "a.cfg: kernel is missing");
}

#[test]
fn items_of_a_list_have_lines_of_their_own() {
    refused(
        "disk = [\n 'phy:/dev/a,xvda,w',\n 'phy:/dev/b,xvdb,x' ]",
        "a.cfg:8: disk: access \"x\" is not supported (known: r, ro, w, rw)",
    );
}

#[test]
fn disks_have_xl_s_two_syntaxes() {
    let disk = |spec: &str| Disk::parse(spec.as_bytes());
    let expected = |writable| {
        Ok(Disk { target: "/srv/a".into(), vdev: "xvda".into(), writable, script: None })
    };
    for spec in [
        "/srv/a,raw,xvda,w",
        "/srv/a,,xvda,rw",
        "/srv/a,raw,xvda",
        "phy:/srv/a,xvda,w",
        "file:/srv/a,xvda",
        "raw:/srv/a,xvda,w",
        "format=raw,vdev=xvda,access=rw,target=/srv/a",
        "format=raw, vdev=xvda, backendtype=phy, target=/srv/a",
        "vdev=xvda,/srv/a",
    ] {
        assert_eq!(disk(spec), expected(true), "{spec}");
    }
    assert_eq!(disk("/srv/a,raw,xvda,r"), expected(false));
    assert_eq!(disk("access=ro,vdev=xvda,target=/srv/a"), expected(false));
    let commas = disk("vdev=xvda,target=/srv/a,b=c,").unwrap().target;
    assert_eq!(commas, Path::new("/srv/a,b=c,"));
}

#[test]
fn disks_that_vxn_cannot_do_are_refused() {
    let refusal = |spec: &str| Disk::parse(spec.as_bytes()).unwrap_err();
    assert_eq!(refusal("/a.qcow2,qcow2,xvda,w"), "format \"qcow2\" is not supported (known: raw)");
    assert_eq!(
        refusal("backendtype=qdisk,vdev=xvda,target=/a"),
        "backendtype \"qdisk\" is not supported (known: phy)"
    );
    assert_eq!(
        refusal("iscsi:iqn,xvda,w"),
        "prefix \"iscsi\" is not supported (known: phy, file, raw)"
    );
    assert_eq!(refusal("/a,raw"), "vdev is missing");
    assert_eq!(refusal("vdev=xvda"), "target is missing");
    assert_eq!(refusal("vdev=xvda,vdev=xvdb,target=/a"), "vdev is given twice");
    assert_eq!(refusal("/a,raw,xvda,w,more"), "\"more\" is one parameter too many");
    assert_eq!(
        refusal("vdev=../x,target=/a"),
        "vdev \"../x\" is not supported (known: xvda, xvdb, …)"
    );
    assert!(refusal("colo,/a").contains("not supported"));
}

#[test]
fn vifs_are_checked() {
    let vif =
        Vif::parse(b"mac=00:16:3e:00:01:0a,bridge=xenbr0,script=/x,vifname=web0,mtu=1400").unwrap();
    assert_eq!(vif.mac, Some([0, 0x16, 0x3e, 0, 1, 10]));
    assert_eq!((vif.ifname.as_deref(), vif.mtu), (Some("web0"), Some(1400)));
    for spec in [
        "mac=00:16:3e:00:01",
        "mac=01:16:3e:00:01:02",
        "mac=00:16:3e:00:01:02:03",
        "mac=zz:16:3e:00:01:02",
        "bridge=",
        "bridge=a/b",
        "bridge=abcdefghijklmnop",
        "mtu=20",
        "model=e1000",
        "bridge",
    ] {
        assert!(Vif::parse(spec.as_bytes()).is_err(), "{spec}");
    }
}

#[test]
fn overrides_come_last_and_are_named() {
    let text = b"name = 'a'\nmemory = 64\nkernel = 'k'";
    let file = parse("a.cfg", text, &[b"memory=128".to_vec(), b"name='b'".to_vec()]).unwrap();
    assert_eq!((file.memory_mib, file.name.as_str()), (128, "b"));
    let error = parse("a.cfg", text, &[b"memory=x".to_vec()]).unwrap_err();
    assert_eq!(error.to_string(), "memory=x: x needs quotes around it");
}

/// Every seed of the fuzz target; their names say what must come of them.
#[test]
fn seeds_of_the_fuzz_target() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/xl_config");
    let mut count = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let parsed = parse(name, &fs::read(&path).unwrap(), &[]);
        assert_eq!(parsed.is_ok(), name.starts_with("good-"), "{name}: {parsed:?}");
        count += 1;
    }
    assert!(count >= 8, "only {count} seeds");
}

/// A string literal for `bytes`, every byte that could matter escaped.
fn literal(bytes: &[u8]) -> String {
    let inner: String = bytes
        .iter()
        .map(|byte| match byte {
            b' ' | b'a'..=b'z' | b'/' => char::from(*byte).to_string(),
            other => format!("\\x{other:02x}"),
        })
        .collect();
    format!("'{inner}'")
}

proptest! {
    #[test]
    fn no_bytes_panic(text: Vec<u8>, spec: Vec<u8>) {
        let _ = parse("fuzz", &text, &[]);
        let _ = Disk::parse(&spec);
        let _ = Vif::parse(&spec);
    }

    #[test]
    fn no_text_of_the_language_panics(text in r#"([a-z_]{1,8}|[0-9]{1,3}|['"\\=+,;#\[\]\n ]|disk|vif|'[a-z=:,/]*'){0,40}"#) {
        let _ = parse("fuzz", text.as_bytes(), &[]);
    }

    #[test]
    fn what_is_written_is_read(
        extra in "[^\0]{0,40}",
        kernel in prop::collection::vec(1..=255u8, 1..40),
        memory in 1..=u32::MAX,
        vdevs in prop::collection::vec("xvd[a-z]", 0..4),
        writable: bool,
    ) {
        let access = if writable { "w" } else { "r" };
        let disk = |vdev: &String| {
            let target = String::from_utf8_lossy(&kernel).into_owned();
            literal(format!("vdev={vdev},access={access},target={target}").as_bytes())
        };
        let disks: Vec<_> = vdevs.iter().map(disk).collect();
        let text = format!(
            "name='n'\nmemory={memory}\nkernel={}\nextra={}\ndisk=[{}]\n",
            literal(&kernel),
            literal(extra.as_bytes()),
            disks.join(",\n"),
        );
        let file = parse("a.cfg", text.as_bytes(), &[]).unwrap();
        prop_assert_eq!(file.extra, extra);
        prop_assert_eq!(file.memory_mib, memory);
        prop_assert_eq!(file.kernel.into_os_string().into_vec(), kernel);
        let read: Vec<_> = file.disks.iter().map(|disk| disk.vdev.clone()).collect();
        prop_assert_eq!(read, vdevs);
        prop_assert!(file.disks.iter().all(|disk| disk.writable == writable));
    }
}
