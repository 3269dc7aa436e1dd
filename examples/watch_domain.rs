//! Creates a domain, watches it until it ends and destroys it:
//! `watch_domain pv|pvh KERNEL [RAMDISK]`, as root in a Dom0.

use std::time::Duration;

use vxn::libxl::{Action, Ctx, DomainConfig, EventKind, GuestType, Scheduling, Uuid};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (guest_type, kernel, ramdisk) = match args.as_slice() {
        [t, kernel, ramdisk @ ..] if t == "pv" => (GuestType::Pv, kernel, ramdisk.first()),
        [t, kernel, ramdisk @ ..] if t == "pvh" => (GuestType::Pvh, kernel, ramdisk.first()),
        _ => return Err("usage: watch_domain pv|pvh KERNEL [RAMDISK]".into()),
    };
    let config = DomainConfig {
        name: format!("example-{}", std::process::id()),
        uuid: Uuid::random(),
        guest_type,
        memory_kib: 256 * 1024,
        vcpus: 1,
        scheduling: Scheduling::default(),
        kernel: kernel.into(),
        ramdisk: ramdisk.map(Into::into),
        cmdline: "console=hvc0 panic=-1".into(),
        disks: Vec::new(),
        nics: Vec::new(),
        shares: None,
        xsdata: Vec::new(),
        on_poweroff: Action::Destroy,
        on_reboot: Action::Destroy,
        on_crash: Action::Destroy,
    };

    let ctx = Ctx::open()?;
    println!("{} KiB needed", ctx.need_memory_kib(&config)?);
    println!("{} KiB free", ctx.free_memory_kib()?);
    let domid = ctx.create_paused(&config)?;
    println!("domain {domid}, console {}", ctx.console_tty(domid)?.display());

    let _watch = ctx.watch_death(domid)?;
    ctx.unpause(domid)?;
    match ctx.wait_event(Some(Duration::from_secs(60)))?.map(|event| event.kind) {
        Some(EventKind::Shutdown(reason)) => println!("shut down: {reason:?}"),
        Some(EventKind::Death) => println!("destroyed by somebody else"),
        None => println!("still running"),
    }
    ctx.destroy(domid)?;
    assert!(ctx.info(domid)?.is_none_or(|info| info.state.dying));
    Ok(())
}
