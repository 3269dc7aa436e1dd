use super::*;

fn load(text: &str, env: &[(&str, &str)]) -> Result<Settings, Error> {
    Settings::from_parts(Path::new("/etc/vxn/vxn.toml"), text, |name| {
        env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
    })
}

#[test]
fn environment_beats_file_beats_built_in() {
    let s = load("memory = \"1G\"\nvcpus = 3", &[("VXN_VCPUS", "2")]).unwrap();
    assert_eq!(s.memory.value, Memory::from_mib(1024));
    assert_eq!(s.memory.origin, Origin::File("/etc/vxn/vxn.toml".into()));
    assert_eq!(s.vcpus.value, 2);
    assert_eq!(s.vcpus.origin, Origin::Environment("VXN_VCPUS".into()));
    assert_eq!(s.guest_type.origin, Origin::BuiltIn);
    let flagged = s.vcpus.or_flag("--cpus", Some(4));
    assert_eq!((flagged.value, flagged.origin), (4, Origin::Flag("--cpus")));
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let message = load("memory = \"1G\"\nmemroy = 2", &[]).unwrap_err().to_string();
    assert!(message.contains("memroy") && message.contains("line 2"), "{message}");
}

#[test]
fn a_bad_value_names_its_origin() {
    let message = load("", &[("VXN_MEMORY", "lots")]).unwrap_err().to_string();
    assert!(message.starts_with("environment VXN_MEMORY: memory = \"lots\""), "{message}");
}

#[test]
fn memory_is_read_and_written_as_docker_does() {
    for (text, kib) in [("256M", 262_144), ("1g", 1 << 20), ("2097152", 2048), ("10kb", 10)] {
        assert_eq!(text.parse::<Memory>().unwrap().kib(), kib, "{text}");
    }
    for text in ["", "M", "-1M", "1T", "99999999999999999999", "18446744073709551615G"] {
        assert!(text.parse::<Memory>().is_err(), "{text}");
    }
    assert_eq!("1024M".parse::<Memory>().unwrap().to_string(), "1G");
}

#[test]
fn the_kind_of_root_disks_is_one_of_three() {
    assert_eq!(load("", &[]).unwrap().root_disk.value, DiskChoice::Auto);
    for name in ["auto", "squashfs", "erofs"] {
        let settings = load(&format!("root_disk = {name:?}"), &[]).unwrap();
        assert_eq!(settings.root_disk.value.to_string(), name);
    }
    let message = load("", &[("VXN_ROOT_DISK", "ext4")]).unwrap_err().to_string();
    assert!(message.contains("auto, squashfs or erofs"), "{message}");
}
