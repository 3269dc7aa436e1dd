use super::*;

/// The names of the rules that are left.
fn names(rules: &str, privileges: &Privileges) -> Result<Vec<String>, String> {
    let text = format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{rules}]}}"#);
    let profile: Profile = serde_json::from_str(&text).unwrap();
    let resolved = profile.resolve(privileges)?;
    let rules = resolved.syscalls().as_ref().unwrap();
    Ok(rules.iter().flat_map(|rule| rule.names().clone()).collect())
}

fn rule(condition: &str) -> String {
    format!(r#"{{"names":["a"],"action":"SCMP_ACT_LOG","args":null,"comment":"",{condition}}}"#)
}

#[test]
fn rules_are_for_who_has_a_capability() {
    let admin = Privileges { cap_add: vec!["CAP_SYS_ADMIN".into()], ..Privileges::default() };
    let of = |condition: &str, privileges: &Privileges| {
        names(&rule(condition), privileges).unwrap().len()
    };
    let plain = Privileges::default();
    for (condition, with, without) in [
        (r#""includes":{"caps":["CAP_SYS_ADMIN"]}"#, 1, 0),
        (r#""excludes":{"caps":["CAP_SYS_ADMIN"]}"#, 0, 1),
        (r#""includes":{"caps":["CAP_SYS_ADMIN","CAP_BPF"]}"#, 0, 0),
        (r#""excludes":{"caps":["CAP_SYS_ADMIN","CAP_BPF"]}"#, 0, 1),
        (r#""includes":{},"excludes":{}"#, 1, 1),
        (r#""includes":{"caps":["CAP_CHOWN"]},"excludes":{"caps":["CAP_SYS_ADMIN"]}"#, 0, 1),
    ] {
        assert_eq!(of(condition, &admin), with, "{condition}");
        assert_eq!(of(condition, &plain), without, "{condition}");
    }
}

#[test]
fn rules_are_for_architectures_and_kernels() {
    let plain = Privileges::default();
    let of = |condition: &str| names(&rule(condition), &plain).map(|names| names.len());
    assert_eq!(of(&format!(r#""includes":{{"arches":["s390x","{ARCHITECTURE}"]}}"#)), Ok(1));
    assert_eq!(of(&format!(r#""excludes":{{"arches":["{ARCHITECTURE}"]}}"#)), Ok(0));
    assert_eq!(of(r#""includes":{"arches":["s390x"]}"#), Ok(0));
    assert_eq!(of(r#""includes":{"minKernel":"4.8"}"#), Ok(1));
    assert_eq!(of(r#""excludes":{"minKernel":"4.8"}"#), Ok(0));
    assert!(of(r#""includes":{"minKernel":"6.12"}"#).unwrap_err().contains("6.12 is newer"));
    assert!(of(r#""includes":{"minKernel":"new"}"#).unwrap_err().contains("no version"));
}

#[test]
fn the_old_form_has_one_name() {
    let plain = Privileges::default();
    let old = r#"{"name":"a","action":"SCMP_ACT_LOG"}"#;
    assert_eq!(names(old, &plain).unwrap(), ["a"]);
    let both = r#"{"name":"a","names":["b"],"action":"SCMP_ACT_LOG"}"#;
    assert!(names(both, &plain).unwrap_err().contains("use either 'name' or 'names'"));
}

#[test]
fn an_error_needs_its_number() {
    let named = r#"{"names":["a"],"action":"SCMP_ACT_ERRNO","errno":"EAGAIN"}"#;
    let error = names(named, &Privileges::default()).unwrap_err();
    assert!(error.contains("EAGAIN"), "{error}");
}

#[test]
fn architectures_are_those_of_the_guests_family() {
    let of = |text: &str| {
        let text = format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW",{text}}}"#);
        let profile: Profile = serde_json::from_str(&text).unwrap();
        let resolved = profile.resolve(&Privileges::default())?;
        Ok::<_, String>(resolved.architectures().clone().unwrap())
    };
    let own = serde_json::to_value(NATIVE).unwrap();
    let families = format!(
        r#""archMap":[{{"architecture":"SCMP_ARCH_S390X"}},
            {{"architecture":{own},"subArchitectures":["SCMP_ARCH_ARM"]}}]"#
    );
    assert_eq!(of(&families).unwrap(), [NATIVE, Arch::ScmpArchArm]);
    let list = r#""architectures":["SCMP_ARCH_X86"]"#;
    assert_eq!(of(list).unwrap(), [Arch::ScmpArchX86]);
    assert!(of(&format!("{list},{families}")).unwrap_err().contains("'archMap'"));
}
