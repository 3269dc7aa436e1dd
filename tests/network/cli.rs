//! `vxn network`, as a user types it.

use std::process::Output;

use super::*;

/// Runs vxn in the namespace of `dom0`, with its networks.
fn vxn(dom0: &Dom0, args: &'static str) -> Output {
    let dir = dom0.dir.path().to_owned();
    dom0.host.run(move || {
        let mut vxn = testbed::tool::command(env!("CARGO_BIN_EXE_vxn"));
        vxn.args(args.split_whitespace()).env("VXN_ROOT", &dir).env("VXN_RUN", &dir);
        vxn.env("VXN_CONFIG", "/dev/null").output().unwrap()
    })
}

#[track_caller]
fn says(dom0: &Dom0, args: &'static str) -> String {
    let output = vxn(dom0, args);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Exit code and what is said of a mistake.
fn fails(dom0: &Dom0, args: &'static str) -> (i32, String) {
    let output = vxn(dom0, args);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn networks_are_made_listed_shown_and_removed() {
    let Some(dom0) = Dom0::new("networks_are_made") else { return };
    assert_eq!(says(&dom0, "network create back --label tier=db"), "back\n");
    let create = "network create front --subnet 192.0.2.0/24 --subnet 2001:db8:7::/64 \
                  --gateway 192.0.2.254 --internal -o com.docker.network.bridge.name=br7 -o mtu=1400";
    assert_eq!(says(&dom0, create), "front\n");
    assert_eq!(says(&dom0, "network ls -q"), "bridge\nback\nfront\n");
    let table = says(&dom0, "network ls");
    assert!(table.starts_with("NAME     DRIVER   BRIDGE"), "{table}");
    let row = table.lines().last().unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words, ["front", "bridge", "br7", "192.0.2.0/24", "2001:db8:7::/64", "yes"]);

    let lease = dom0.attach("web", on("front")).unwrap();
    assert_eq!((lease.mtu, lease.gateways.len()), (1400, 0));
    let json: serde_json::Value =
        serde_json::from_str(&says(&dom0, "network inspect front bridge")).unwrap();
    assert_eq!(json[0]["IPAM"]["Config"][0]["Gateway"], "192.0.2.254");
    assert_eq!(json[0]["Containers"]["web"]["MacAddress"], lease.mac.to_string());
    assert_eq!(json[1]["IPAM"]["Config"][0]["Subnet"], "10.144.0.0/16");

    let used = (
        1,
        "vxn: network front is in use by container web\n\
                    hint: end those who use it first\n"
            .to_owned(),
    );
    assert_eq!(fails(&dom0, "network rm front"), used);
    assert_eq!(says(&dom0, "network prune -f"), "back\n");
    dom0.release("web");
    assert_eq!(says(&dom0, "network rm front"), "front\n");
    assert_eq!(says(&dom0, "network rm -f front"), "");
}

#[test]
fn mistakes_are_named() {
    let Some(dom0) = Dom0::new("mistakes_are_named") else { return };
    for (args, said) in [
        ("network rm nowhere", "no such network: nowhere"),
        ("network inspect nowhere", "no such network: nowhere"),
        ("network rm bridge", "bridge is a pre-defined network and cannot be removed"),
        ("network create bridge", "network with name bridge already exists"),
        ("network create host", "\"host\" is not a name for a network"),
        ("network create n --subnet 10.144.1.0/24", "overlaps with network bridge"),
        ("network create n -o color=red", "--opt color=red: there is no such option here"),
        ("network prune", "nobody is there to confirm"),
    ] {
        let (code, words) = fails(&dom0, args);
        assert!(code == 1 && words.contains(said), "{args}: {code}, {words}");
    }
    let (code, words) = fails(&dom0, "network create n --subnet 10.0.0.0/33");
    assert!(code == 2 && words.contains("--subnet"), "{code} {words}");
}
