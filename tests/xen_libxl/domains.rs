//! Domains are made, looked at and destroyed.

use std::thread;

use vxn::libxl::{Ctx, DomId, Error, GuestType};
use vxn::xenstore::{Xenstore, paths};

use crate::guest::{BOTH, Does, Guest, config};
use crate::inside;

/// A destroyed domain is listed as long as xenconsoled has its console's page.
fn is_gone(ctx: &Ctx, id: DomId) -> bool {
    ctx.info(id).expect("an answer").is_none_or(|info| info.state.dying)
}

#[test]
fn a_domain_is_what_was_asked_for() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        for guest_type in BOTH {
            let mut config = config(guest_type, Does::Nothing);
            config.vcpus = 2;
            config.xsdata = vec![("vxn/mark".into(), "here".into())];
            let guest = Guest::new(&ctx, &config);
            let id = guest.id;
            let info = ctx.info(id).expect("an answer").expect("the domain");
            assert_eq!((info.domid, info.uuid), (id, config.uuid));
            assert_eq!(info.name.as_deref(), Some(config.name.as_str()));
            assert_eq!(info.guest_type, Some(guest_type));
            assert!(info.state.paused && !info.state.shutdown, "{info:?}");
            assert!((16 << 10..20 << 10).contains(&info.memory_kib), "{info:?}");
            assert_eq!(info.shutdown_reason, None);
            assert!(ctx.console_tty(id).expect("a console").exists());
            let store = Xenstore::open().expect("xenstore");
            let read = |path: String| store.read(&path).expect("an answer");
            assert_eq!(read(format!("{}/mark", paths::vxn(id.0))).as_deref(), Some(&b"here"[..]));
            let second_cpu = read(format!("{}/cpu/1/availability", paths::domain(id.0)));
            assert_eq!(second_cpu.as_deref(), Some(&b"online"[..]));
            assert!(ctx.list().expect("a list").iter().any(|i| i.domid == id));
            ctx.destroy(id).expect("it can be destroyed");
            assert!(is_gone(&ctx, id));
            drop(guest); // destroys it again
        }
    });
}

#[test]
fn a_domain_is_paused_and_renamed() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        for guest_type in BOTH {
            let guest = Guest::running(&ctx, guest_type, Does::Nothing);
            let paused = || ctx.info(guest.id).expect("an answer").expect("it").state.paused;
            assert!(!paused());
            ctx.pause(guest.id).expect("it can be paused");
            assert!(paused());
            let name = format!("renamed-{}", guest.id);
            ctx.rename(guest.id, &name).expect("a free name");
            let info = ctx.info_by_name(&name).expect("an answer").expect("the domain");
            assert_eq!(info.domid, guest.id);
            assert_eq!(ctx.info_by_name("nobody").expect("an answer"), None);
        }
    });
}

#[test]
fn a_failed_creation_says_why_and_leaves_nothing() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        for guest_type in BOTH {
            let mut bad = config(guest_type, Does::Nothing);
            bad.kernel = "/no/such/kernel".into();
            let error = ctx.create_paused(&bad).expect_err("no kernel");
            assert!(error.to_string().contains("'/no/such/kernel'"), "{error}");
            assert_eq!(ctx.info_by_name(&bad.name).expect("an answer"), None);
            let left = ctx.list().expect("a list").into_iter().find(|i| i.uuid == bad.uuid);
            assert!(left.is_none_or(|info| info.state.dying));
        }
    });
}

#[test]
fn a_name_is_not_given_twice() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        let first = Guest::paused(&ctx, GuestType::Pvh, Does::Nothing);
        let info = ctx.info(first.id).expect("an answer").expect("the domain");
        let mut second = config(GuestType::Pvh, Does::Nothing);
        second.name = info.name.expect("a name");
        let error = ctx.create_paused(&second).expect_err("the name is taken");
        assert!(error.to_string().contains("already exists"), "{error}");
        assert!(ctx.info(first.id).expect("an answer").is_some(), "the first is untouched");
    });
}

#[test]
fn destroyers_do_not_hinder_each_other() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        for guest_type in BOTH {
            let guest = Guest::running(&ctx, guest_type, Does::Nothing);
            let id = guest.id;
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(move || {
                        let ctx = Ctx::open().expect("a context");
                        ctx.destroy(id).expect("somebody destroys it");
                        assert!(is_gone(&ctx, id));
                    });
                }
            });
        }
    });
}

#[test]
fn children_of_others_are_left_alone() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        let mut child = testbed::tool::command("sh").args(["-c", "exit 7"]).spawn().expect("sh");
        // Destroying forks and reaps a child of libxl's.
        drop(Guest::paused(&ctx, GuestType::Pvh, Does::Nothing));
        assert_eq!(child.wait().expect("our child").code(), Some(7));
    });
}

#[test]
fn operations_on_no_domain_are_errors() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        let nobody = "32000".parse().expect("an id");
        assert!(matches!(ctx.unpause(nobody), Err(Error::Libxl { .. })));
        assert!(matches!(ctx.pause(nobody), Err(Error::Libxl { .. })));
        assert!(matches!(ctx.console_tty(nobody), Err(Error::Libxl { .. })));
        assert_eq!(ctx.info(nobody).expect("an answer"), None);
        assert_eq!(ctx.disks(nobody).expect("an answer"), []);
    });
}
