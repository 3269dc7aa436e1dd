//! `vxn domain block-attach`, `block-detach` and `block-list`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Result, anyhow};

use super::{find, plan};
use crate::cli::domain_config;
use crate::libxl::{Ctx, Disk};

/// Attaches a disk; several words of a specification are one, as in xl.
pub fn attach(domain: &str, words: &[OsString], hotplug: &Path) -> Result<()> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let disk = domain_config::Disk::parse(&words.join(&b","[..])).map_err(|e| anyhow!("{e}"))?;
    let ctx = Ctx::open()?;
    let domid = find(&ctx, domain)?.domid;
    Ok(ctx.attach_disk(domid, &plan::disk(disk, hotplug)?)?)
}

/// Detaches a disk.
pub fn detach(domain: &str, vdev: &str) -> Result<()> {
    let ctx = Ctx::open()?;
    let domid = find(&ctx, domain)?.domid;
    Ok(ctx.detach_disk(domid, vdev)?)
}

/// Lists disks.
pub fn list(domains: &[String], json: bool) -> Result<()> {
    let ctx = Ctx::open()?;
    let mut all = Vec::new();
    for domain in domains {
        let domid = find(&ctx, domain)?.domid;
        all.extend(ctx.disks(domid)?.into_iter().map(|disk| (domid, disk)));
    }
    if json {
        let rows = all.iter().map(|(domid, disk)| {
            serde_json::json!({
                "domid": domid,
                "vdev": disk.vdev,
                "writable": disk.writable,
                "path": disk.path.to_string_lossy(),
            })
        });
        println!("{}", serde_json::to_string_pretty(&rows.collect::<Vec<_>>())?);
        return Ok(());
    }
    println!("{:>5} {:<6} {:<6} PATH", "DOMID", "VDEV", "ACCESS");
    for (domid, Disk { path, vdev, writable, .. }) in &all {
        let access = if *writable { "rw" } else { "ro" };
        println!("{:>5} {vdev:<6} {access:<6} {}", domid.0, path.display());
    }
    Ok(())
}
