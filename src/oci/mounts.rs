//! The mounts of a configuration, as the guest's own file systems and as shares of this
//! host.

use std::path::Path;

use nix::sys::statvfs::statvfs;
use oci_spec::runtime::{Mount as SpecMount, Spec};
use vxn_proto::Tmpfs;

use super::Result;
use super::error::refused;
use crate::config::Memory;
use crate::container::mounts::{Mount, Source};

/// What the guest mounts anyway, and with which options.
const OF_GUEST: [(&str, &[&str]); 6] = [
    ("/proc", &["proc"]),
    ("/dev", &["tmpfs", "devtmpfs"]),
    ("/dev/pts", &["devpts"]),
    ("/dev/mqueue", &["mqueue"]),
    ("/sys", &["sysfs"]),
    ("/sys/fs/cgroup", &["cgroup", "cgroup2"]),
];

/// Memory that processes share: the guest's own, of the size that is asked for.
const SHM: &str = "/dev/shm";

/// What a configuration mounts, besides what the guest has anyway.
#[derive(Debug, Default)]
pub struct Mounts {
    /// File systems in the guest's memory.
    pub tmpfs: Vec<Tmpfs>,
    /// Directories and files of this host.
    pub shared: Vec<Mount>,
    /// Size of `/dev/shm` in bytes, if it was said.
    pub shm_bytes: Option<u64>,
}

/// Sorts the mounts of `spec`; sources are relative to the bundle's directory.
///
/// # Errors
/// What cannot be mounted is refused by name.
pub fn mounts(spec: &Spec, bundle: &Path) -> Result<Mounts> {
    let mut mounts = Mounts::default();
    for mount in spec.mounts().iter().flatten() {
        add(&mut mounts, mount, bundle)?;
    }
    Ok(mounts)
}

fn add(mounts: &mut Mounts, mount: &SpecMount, bundle: &Path) -> Result<()> {
    let destination = destination(mount)?;
    let options = mount.options().as_deref().unwrap_or_default();
    let kind = mount.typ().as_deref().unwrap_or_default();
    let bind = kind == "bind" || options.iter().any(|option| option == "bind" || option == "rbind");
    for option in options {
        if matches!(option.as_str(), "shared" | "rshared" | "slave" | "rslave") {
            let what = format!("the mount of {destination} with {option}");
            return Err(refused(what, "mounts do not pass between this host and a DomU"));
        }
    }
    if destination == SHM {
        mounts.shm_bytes = if bind { size_of(mount) } else { size(options)? };
        return Ok(());
    }
    if bind {
        return shared(mounts, mount, destination, bundle);
    }
    let of_guest = OF_GUEST.iter().find(|(path, _)| *path == destination);
    match of_guest {
        Some((_, kinds)) if kinds.contains(&kind) => Ok(()),
        None if kind == "tmpfs" && options.iter().any(|option| option == "tmpcopyup") => {
            let what = format!("the tmpfs on {destination} with tmpcopyup");
            Err(refused(what, "the guest's begins empty"))
        }
        None if kind == "tmpfs" => {
            mounts.tmpfs.push(Tmpfs { path: destination, options: tmpfs_options(options) });
            Ok(())
        }
        _ => {
            let what = format!("a mount of type {kind:?} on {destination}");
            Err(refused(what, "the guest mounts tmpfs, and what every container has"))
        }
    }
}

/// Where it is mounted, as an absolute path without `..`.
fn destination(mount: &SpecMount) -> Result<String> {
    let shown = mount.destination().display();
    let text = mount.destination().to_str().map(|text| text.trim_end_matches('/'));
    match text {
        Some(text) if text.starts_with('/') && !text.split('/').any(|part| part == "..") => {
            Ok(text.to_owned())
        }
        _ => Err(refused(format!("the mount destination {shown}"), "it is no absolute path")),
    }
}

/// A directory or a file of this host.
fn shared(
    mounts: &mut Mounts,
    mount: &SpecMount,
    destination: String,
    bundle: &Path,
) -> Result<()> {
    let below = |root: &str| Path::new(&destination).starts_with(root);
    if ["/proc", "/sys", "/dev"].into_iter().any(below) {
        let why = "what is there is the guest's kernel's";
        return Err(refused(format!("a bind mount on {destination}"), why));
    }
    let (mut read_only, mut options) = (false, Vec::new());
    for option in mount.options().iter().flatten() {
        match option.as_str() {
            // No device of this host works in a guest.
            "bind" | "rbind" | "private" | "rprivate" | "nodev" | "suid" | "exec" => {}
            "ro" => read_only = true,
            "rw" => read_only = false,
            "nosuid" | "noexec" => options.push(option.clone()),
            other => {
                let what = format!("the bind mount of {destination} with {other:?}");
                return Err(refused(what, "it is served over 9P, which has no such option"));
            }
        }
    }
    let source = mount.source().clone().unwrap_or_default();
    let source = Source::Bind(bundle.join(source));
    mounts.shared.push(Mount { source, destination, read_only, options });
    Ok(())
}

/// Options of a tmpfs for the guest, which has its own without `dev`, `exec` and `suid`
/// unless they are asked for; in a configuration it is the other way round. Nobody else
/// sees the guest's mounts, so they are private anyway.
fn tmpfs_options(options: &[String]) -> Vec<String> {
    let defaults = ["dev", "exec", "suid"].map(str::to_owned).into_iter();
    let private = |option: &&String| !matches!(option.as_str(), "private" | "rprivate");
    defaults.chain(options.iter().filter(private).cloned()).collect()
}

/// The size that a tmpfs is to have, in bytes.
fn size(options: &[String]) -> Result<Option<u64>> {
    let text = options.iter().rev().find_map(|option| option.strip_prefix("size="));
    let parse = |text: &str| match text.parse::<Memory>() {
        Ok(memory) => Ok(memory.bytes()),
        Err(_) => Err(refused(format!("the size {text:?} of {SHM}"), "it is no number of bytes")),
    };
    text.map(parse).transpose()
}

/// The size of the tmpfs that the caller has made for it.
fn size_of(mount: &SpecMount) -> Option<u64> {
    let stat = statvfs(mount.source().as_deref()?).ok()?;
    Some(stat.blocks().saturating_mul(stat.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_is_none_is_refused() {
        let size = |text: &str| super::size(&[text.to_owned()]);
        assert_eq!(size("size=65536k").unwrap(), Some(64 << 20));
        assert_eq!(size("mode=1777").unwrap(), None);
        let error = size("size=half").unwrap_err().to_string();
        assert!(error.contains("the size \"half\" of /dev/shm"), "{error}");
    }

    fn sorted(text: &str) -> Result<Mounts> {
        let mut spec = Spec::default();
        spec.set_mounts(Some(serde_json::from_str(text).unwrap()));
        mounts(&spec, Path::new("/bundle"))
    }

    #[test]
    fn what_the_guest_has_is_not_mounted_again() {
        let all = mounts(&Spec::default(), Path::new("/bundle")).unwrap();
        assert!(all.tmpfs.is_empty() && all.shared.is_empty(), "{all:?}");
        assert_eq!(all.shm_bytes, Some(64 << 20));
    }

    #[test]
    fn binds_are_shared_and_tmpfs_is_in_memory() {
        let all = sorted(
            r#"[{"destination": "/data/", "type": "bind", "source": "rel", "options": ["rbind", "ro"]},
                {"destination": "/etc/hosts", "source": "/h", "options": ["bind", "rprivate"]},
                {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
                 "options": ["rprivate", "nosuid", "size=1m"]}]"#,
        )
        .unwrap();
        assert_eq!(all.shared[0].source, Source::Bind("/bundle/rel".into()));
        assert_eq!(all.shared[0].destination, "/data");
        assert!(all.shared[0].read_only && !all.shared[1].read_only);
        assert_eq!(all.tmpfs[0].options, ["dev", "exec", "suid", "nosuid", "size=1m"]);
    }

    #[test]
    fn what_cannot_be_mounted_is_named() {
        for (mount, what) in [
            (r#"{"destination": "/proc/1", "type": "bind", "source": "/x"}"#, "/proc/1"),
            (r#"{"destination": "x", "type": "tmpfs"}"#, "destination x"),
            (r#"{"destination": "/a/../b", "type": "tmpfs"}"#, "/a/../b"),
            (r#"{"destination": "/a", "type": "nfs"}"#, "\"nfs\" on /a"),
            (r#"{"destination": "/a", "type": "bind", "options": ["rshared"]}"#, "rshared"),
            (r#"{"destination": "/a", "type": "bind", "options": ["idmap"]}"#, "idmap"),
            (r#"{"destination": "/a", "type": "tmpfs", "options": ["tmpcopyup"]}"#, "tmpcopyup"),
        ] {
            let error = sorted(&format!("[{mount}]")).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
