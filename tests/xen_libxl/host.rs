//! The host, and who may talk to it.

use vxn::libxl::{Ctx, Error, GuestType};
use vxn::xenstore;

use crate::guest::{BOTH, Does, Guest, config};
use crate::inside;

#[test]
fn the_host_is_described() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        let host = ctx.host().expect("an answer");
        assert!(host.xen_version.starts_with("4."), "{host:?}");
        assert!(host.commandline.contains("dom0_mem="), "{host:?}");
        assert!(host.pv && host.hvm && host.hap, "{host:?}");
        assert!(host.free_memory_kib < host.total_memory_kib && host.nr_cpus > 0, "{host:?}");
    });
}

#[test]
fn memory_is_counted() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        assert!(ctx.free_memory_kib().expect("an answer") > 64 << 10);
        for guest_type in BOTH {
            let config = config(guest_type, Does::Nothing);
            let need = ctx.need_memory_kib(&config).expect("an answer");
            assert!((16 << 10..32 << 10).contains(&need), "{need} KiB");
        }
        let mut huge = config(GuestType::Pvh, Does::Nothing);
        huge.memory_kib = 1 << 30;
        let error = ctx.create_paused(&huge).expect_err("a TiB is too much");
        assert!(matches!(error, Error::Libxl { .. }), "{error}");
    });
}

#[test]
fn user_data_lives_with_the_domain() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        let guest = Guest::paused(&ctx, GuestType::Pvh, Does::Nothing);
        let retrieve = || ctx.userdata_retrieve(guest.id, "vxn-test").expect("an answer");
        assert_eq!(retrieve(), None);
        ctx.userdata_store(guest.id, "vxn-test", b"some\0bytes").expect("it is stored");
        assert_eq!(retrieve().as_deref(), Some(&b"some\0bytes"[..]));
        ctx.userdata_store(guest.id, "vxn-test", b"").expect("it is removed");
        assert_eq!(retrieve(), None);
    });
}

#[test]
fn a_user_without_permission_is_told_so() {
    inside::dom0_by(&["setpriv", "--reuid=65534", "--clear-groups"], || {
        let error = Ctx::open().expect_err("only root may");
        assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
        let error = xenstore::Xenstore::open().expect_err("only root may");
        assert!(matches!(error, xenstore::Error::PermissionDenied { .. }), "{error:?}");
    });
}

#[test]
fn a_missing_xenstored_is_told() {
    inside::dom0_by(&["env", "XENSTORED_PATH=/nowhere/socket"], || {
        let error = Ctx::open().expect_err("no daemon there");
        let told = matches!(&error, Error::Xenstore(xenstore::Error::NotRunning { socket, .. })
            if socket.as_os_str() == "/nowhere/socket");
        assert!(told, "{error:?}");
    });
}
