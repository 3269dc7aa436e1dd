//! What killed processes leave is found and removed.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use super::*;

/// The example that gets one lease or takes it back, built as far as it is out
/// of date: cargo builds examples for a run of all tests only.
fn program() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut cargo = testbed::tool::command(cargo);
        testbed::tool::run(cargo.args(["build", "--quiet", "--example", "publish_port"])).unwrap();
    });
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().parent().unwrap().join("examples/publish_port")
}

fn start(dom0: &Dom0, args: &'static [&'static str]) -> Child {
    let (dir, program) = (dom0.dir.path().to_owned(), program());
    dom0.host.run(move || {
        let mut command = testbed::tool::command(program);
        command.arg(dir).args(args).stdout(Stdio::null()).spawn().unwrap()
    })
}

/// Kills the program at twenty moments of its run; each time nothing is left
/// after its owner is reaped, and the port can be had again.
fn killed_at_any_moment(dom0: &Dom0, args: &'static [&'static str], before: impl Fn()) {
    program();
    before();
    let started = Instant::now();
    assert!(start(dom0, args).wait().unwrap().success());
    let length = started.elapsed();
    for moment in 0..20 {
        before();
        let mut child = start(dom0, args);
        // The moment itself is what is tested; there is no event to wait for.
        std::thread::sleep(length * moment / 16);
        child.kill().unwrap();
        child.wait().unwrap();
        let networks = dom0.networks.clone();
        dom0.host.run(move || networks.reap(|_| false)).unwrap();
        dom0.assert_clean();
    }
}

#[test]
fn killed_while_getting_a_lease() {
    let Some(dom0) = Dom0::new("killed_while_getting_a_lease") else { return };
    killed_at_any_moment(&dom0, &["doomed", "8080:80"], || dom0.release("doomed"));
}

#[test]
fn killed_while_giving_it_back() {
    let Some(dom0) = Dom0::new("killed_while_giving_it_back") else { return };
    killed_at_any_moment(&dom0, &["doomed"], || {
        dom0.attach("doomed", publish(&["8080:80"])).unwrap();
    });
}

#[test]
fn only_the_dead_are_reaped() {
    let Some(dom0) = Dom0::new("only_the_dead_are_reaped") else { return };
    let (_web, lease) = dom0.guest("web", publish(&["8080:80"]));
    assert!(start(&dom0, &["killed", "8081:80"]).wait().unwrap().success());
    let networks = dom0.networks.clone();
    assert!(dom0.host.run(move || networks.reap(|id| id == "web")).unwrap());
    assert_eq!(dom0.networks.state().unwrap().leases, [lease]);
    dom0.host.ask(vxn::network::Protocol::Tcp, "127.0.0.1:8080");
    dom0.attach("heir", publish(&["8081:80"])).unwrap();
}

#[test]
fn a_flushed_ruleset_is_set_up_again() {
    let Some(dom0) = Dom0::new("a_flushed_ruleset") else { return };
    let (_web, _) = dom0.guest("web", publish(&["8080:80"]));
    dom0.host.output("nft", "flush ruleset");
    dom0.host.assert_silent(vxn::network::Protocol::Tcp, "127.0.0.1:8080");
    let networks = dom0.networks.clone();
    dom0.host.run(move || networks.reload()).unwrap();
    dom0.host.ask(vxn::network::Protocol::Tcp, "127.0.0.1:8080");
}

#[test]
fn a_bridge_that_was_found_keeps_what_it_had() {
    let Some(dom0) = Dom0::new("a_bridge_that_was_found") else { return };
    dom0.host.ip("link add xenbr0 type bridge");
    dom0.host.ip("address add 192.0.2.9/24 dev xenbr0");
    let before = dom0.host.remains();
    let addresses = || dom0.host.output("ip", "-br address show dev xenbr0 scope global");
    let lease = dom0.attach("web", publish(&["8080:80"])).unwrap();
    assert!(addresses().contains("192.0.2.9/24") && addresses().contains("10.144.0.1/16"));
    assert_eq!(lease.gateways[0].to_string(), "10.144.0.1");
    dom0.release("web");
    assert!(addresses().contains("192.0.2.9/24") && !addresses().contains("10.144.0.1"));
    assert_eq!(
        dom0.host.remains().replace("state UP", "state DOWN").lines().count(),
        before.lines().count()
    );

    // One that somebody has ports of his own on is not taken from under him.
    dom0.host.ip("link del xenbr0");
    dom0.attach("web", publish(&[])).unwrap();
    let other = Namespace::new("other").unwrap();
    dom0.host.cable("port", &other, "eth0");
    dom0.host.ip("link set port master xenbr0");
    dom0.release("web");
    assert!(dom0.host.remains().contains("xenbr0"));
    dom0.host.ip("link set port nomaster");
    dom0.attach("web", publish(&[])).unwrap();
    dom0.release("web");
    dom0.assert_clean();
}
