//! The OCI configuration of the container: docker's defaults, in a VM.
//!
//! There is no network namespace: the DomU's network is the container's. Seccomp is not
//! libcontainer's: `seccomp.rs` says why.

use std::{
    ffi::CString,
    path::{Path, PathBuf},
};

use libcontainer::oci_spec::{
    OciSpecError,
    runtime::{
        LinuxBuilder, LinuxNamespace, LinuxNamespaceBuilder, LinuxNamespaceType, Mount, Process,
        ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder, get_default_mounts,
    },
};
use nix::unistd::Pid;
use vxn_proto::{Container as Settings, ProcessSpec, Share, Tmpfs};

use vxn_files::normalize;

use crate::{Error, Result, device, limits, privileges, share, user::User};

/// The search path of a process that brings none, docker's.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The control group of the container, below the cgroup file system's root.
pub const CGROUP: &str = "/container";

/// The process part of the configuration. Its arguments and environment stand
/// in for the byte strings that `Program` executes; `HOME` is there so that
/// libcontainer does not look for one with the C library, which would load
/// code from the image.
pub fn process(
    spec: &ProcessSpec,
    cwd: &Path,
    user: &User,
    settings: &Settings,
) -> Result<Process> {
    let Settings { limits, privileges, .. } = settings;
    let capabilities = privileges::capabilities(user.uid, settings)?;
    let rlimits = limits::rlimits(limits)?;
    let mut identity =
        UserBuilder::default().uid(user.uid).gid(user.gid).additional_gids(groups(spec, user));
    if let Some(umask) = spec.umask {
        identity = identity.umask(umask & 0o777);
    }
    let identity = identity.build();
    let build = || {
        let process = ProcessBuilder::default()
            .terminal(spec.tty.is_some())
            .user(identity?)
            .args([String::from("vxn")])
            .env([String::from("HOME=/")])
            .cwd(cwd)
            .capabilities(capabilities)
            .rlimits(rlimits)
            .no_new_privileges(privileges.no_new_privileges);
        // libcontainer gives it to vxn-init, for its children to inherit; the kernel
        // never kills PID 1 for want of memory.
        match limits.oom_score_adj {
            Some(score) => process.oom_score_adj(score).build(),
            None => process.build(),
        }
    };
    build().map_err(invalid)
}

/// The host's word on the groups, else the image's; the user's own group is in both.
fn groups(spec: &ProcessSpec, user: &User) -> Vec<u32> {
    match &spec.groups {
        Some(groups) => std::iter::once(user.gid).chain(groups.iter().copied()).collect(),
        None => user.groups.clone(),
    }
}

/// The whole configuration, with the container's settings and its shares. The pid
/// namespace is the one that `reaper` leads.
pub fn container(
    root: &Path,
    hostname: &str,
    (settings, shares): (&Settings, &[Share]),
    process: Process,
    reaper: Pid,
) -> Result<Spec> {
    let devices = device::nodes(&settings.disks)?;
    let build = || {
        let mut linux = LinuxBuilder::default()
            .namespaces(namespaces(reaper)?)
            .devices(devices)
            .cgroups_path(CGROUP)
            .sysctl(limits::inner_sysctls(&settings.limits));
        if settings.privileges.privileged || settings.privileges.unmasked {
            linux = linux.masked_paths([]).readonly_paths([]);
        }
        let mut spec = SpecBuilder::default();
        if !settings.domainname.is_empty() {
            spec = spec.domainname(settings.domainname.as_str());
        }
        spec.root(RootBuilder::default().path(root).readonly(settings.read_only).build()?)
            .hostname(hostname)
            .process(process)
            .mounts(mounts(settings, shares))
            .linux(linux.build()?)
            .build()
    };
    build().map_err(invalid)
}

fn namespaces(reaper: Pid) -> std::result::Result<Vec<LinuxNamespace>, OciSpecError> {
    let new = |typ| LinuxNamespaceBuilder::default().typ(typ).build();
    Ok(vec![
        LinuxNamespaceBuilder::default()
            .typ(LinuxNamespaceType::Pid)
            .path(format!("/proc/{reaper}/ns/pid"))
            .build()?,
        new(LinuxNamespaceType::Mount)?,
        new(LinuxNamespaceType::Uts)?,
        new(LinuxNamespaceType::Ipc)?,
        new(LinuxNamespaceType::Cgroup)?,
    ])
}

/// The specification's default mounts, with docker's options for `/proc`, and
/// the user's. What is mounted deeper comes later.
fn mounts(settings: &Settings, shares: &[Share]) -> Vec<Mount> {
    let mut mounts = get_default_mounts();
    for mount in &mut mounts {
        let mut options = mount.options().clone().unwrap_or_default();
        match mount.destination().to_str() {
            Some("/proc") => options = ["nosuid", "noexec", "nodev"].map(String::from).to_vec(),
            Some("/dev/shm") => {
                if let Some(bytes) = settings.limits.shm_bytes {
                    options.retain(|option| !option.starts_with("size="));
                    options.push(format!("size={bytes}"));
                }
            }
            _ if settings.privileges.privileged => options.retain(|option| option != "ro"),
            _ => {}
        }
        mount.set_options(Some(options));
    }
    let shares = shares.iter().enumerate().map(|(number, share)| bind(number, share));
    let mut own: Vec<Mount> = settings.tmpfs.iter().map(tmpfs).chain(shares).collect();
    own.sort_by_key(|mount| mount.destination().components().count());
    mounts.extend(own);
    mounts
}

/// docker's options, which the user's come after.
fn tmpfs(tmpfs: &Tmpfs) -> Mount {
    let mut options = ["noexec", "nosuid", "nodev"].map(String::from).to_vec();
    options.extend(tmpfs.options.iter().cloned());
    let mut mount = Mount::default();
    mount.set_destination(PathBuf::from(&tmpfs.path));
    mount.set_typ(Some("tmpfs".into()));
    mount.set_source(Some("tmpfs".into()));
    mount.set_options(Some(options));
    mount
}

/// A share, which is mounted outside of the container.
fn bind(number: usize, share: &Share) -> Mount {
    let access = if share.read_only { "ro" } else { "rw" };
    let mut options = ["rbind", "rprivate", "nodev", access].map(String::from).to_vec();
    options.extend(share.options.iter().cloned());
    let mut mount = Mount::default();
    mount.set_destination(PathBuf::from(&share.path));
    mount.set_typ(Some("bind".into()));
    mount.set_source(Some(share::source(number, share)));
    mount.set_options(Some(options));
    mount
}

/// The working directory as libcontainer wants it: absolute and UTF-8.
pub fn working_directory(cwd: &[u8]) -> Result<PathBuf> {
    if cwd.is_empty() {
        return Ok(PathBuf::from("/"));
    }
    let shown = String::from_utf8_lossy(cwd);
    let refuse = |why| Error::Other(format!("the working directory '{shown}' is invalid: {why}"));
    let text = std::str::from_utf8(cwd).map_err(|_| refuse("it is not UTF-8"))?;
    if !text.starts_with('/') {
        return Err(refuse("it needs to be an absolute path"));
    }
    if text.contains('\0') {
        return Err(refuse("it contains NUL"));
    }
    Ok(normalize(Path::new(text)))
}

/// The arguments for execve(2).
pub fn arguments(spec: &ProcessSpec) -> Result<Vec<CString>> {
    if spec.args.is_empty() {
        return Err(Error::Other("no command specified".into()));
    }
    c_strings(spec.args.iter().cloned(), "argument")
}

/// The environment for execve(2): what the host sent, and what docker adds
/// where it is missing.
pub fn environment(spec: &ProcessSpec, hostname: &str, user: &User) -> Result<Vec<CString>> {
    let mut env = spec.env.clone();
    let mut add = |entry: Vec<u8>| {
        let name = entry.split_inclusive(|byte| *byte == b'=').next().unwrap_or_default();
        if !env.iter().any(|have| have.starts_with(name)) {
            env.push(entry);
        }
    };
    add(PATH.into());
    add(format!("HOSTNAME={hostname}").into());
    if spec.tty.is_some() {
        add("TERM=xterm".into());
    }
    add([b"HOME=", &user.home[..]].concat());
    c_strings(env.into_iter(), "environment variable")
}

fn c_strings(strings: impl Iterator<Item = Vec<u8>>, what: &str) -> Result<Vec<CString>> {
    let convert = |string| {
        CString::new(string).map_err(|error| {
            let shown = String::from_utf8_lossy(&error.into_vec()).into_owned();
            Error::Other(format!("{what} {shown:?} contains NUL"))
        })
    };
    strings.map(convert).collect()
}

fn invalid(error: OciSpecError) -> Error {
    Error::Other(format!("cannot build the container's configuration: {error}"))
}

#[cfg(test)]
mod tests {
    use vxn_proto::Privileges;

    use super::*;

    fn spec(env: &[&str]) -> ProcessSpec {
        ProcessSpec {
            args: vec![b"true".to_vec()],
            env: env.iter().map(|entry| entry.as_bytes().to_vec()).collect(),
            cwd: Vec::new(),
            user: String::new(),
            tty: None,
            stdin: false,
            groups: None,
            umask: None,
        }
    }

    fn user(uid: u32) -> User {
        User { uid, gid: 0, groups: vec![0], home: b"/root".to_vec() }
    }

    #[test]
    fn missing_variables_are_added_as_docker_does() {
        let env = environment(&spec(&["A=1", "HOMELESS=1"]), "box", &user(0)).unwrap();
        let want = ["A=1", "HOMELESS=1", PATH, "HOSTNAME=box", "HOME=/root"];
        assert_eq!(env, want.map(|entry| CString::new(entry).unwrap()));
    }

    #[test]
    fn variables_that_are_set_stay() {
        let own = ["PATH=/x", "HOSTNAME=", "HOME=/y", "TERM=dumb"];
        let mut spec = spec(&own);
        spec.tty = Some(vxn_proto::WindowSize { rows: 1, columns: 1 });
        let env = environment(&spec, "box", &user(0)).unwrap();
        assert_eq!(env, own.map(|entry| CString::new(entry).unwrap()));
    }

    #[test]
    fn nul_is_refused_with_what_holds_it() {
        let mut bad = spec(&["A=\0"]);
        let error = environment(&bad, "box", &user(0)).unwrap_err();
        assert_eq!(error.to_string(), "environment variable \"A=\\0\" contains NUL");
        bad.args = vec![b"a\0b".to_vec()];
        assert!(arguments(&bad).is_err());
        bad.args.clear();
        assert_eq!(arguments(&bad).unwrap_err().to_string(), "no command specified");
    }

    #[test]
    fn a_working_directory_is_absolute() {
        assert_eq!(working_directory(b"").unwrap(), Path::new("/"));
        assert_eq!(working_directory(b"/a/../b").unwrap(), Path::new("/b"));
        for bad in [&b"a"[..], b"/\xff", b"/a\0"] {
            assert!(working_directory(bad).is_err());
        }
    }

    #[test]
    fn the_configuration_names_the_namespace_to_join() {
        let spec = configuration(&Settings {
            read_only: true,
            tmpfs: vec![Tmpfs { path: "/t".into(), options: vec!["size=1m".into()] }],
            ..Settings::default()
        });
        let json = libcontainer_json(&spec);
        assert!(json.contains("/proc/7/ns/pid"), "{json}");
        assert!(!json.contains("\"network\""), "{json}");
        assert!(json.contains("\"size=1m\"") && json.contains("\"/t\""), "{json}");
        assert!(spec.root().as_ref().unwrap().readonly().unwrap());
    }

    #[test]
    fn privileged_hides_nothing_and_shm_has_its_size() {
        let paths = |settings: &Settings| {
            let spec = configuration(settings);
            let linux = spec.linux().as_ref().unwrap();
            let options = spec.mounts().as_ref().unwrap().iter().flat_map(|mount| mount.options());
            let options = options.flatten().map(String::as_str);
            let interesting =
                options.filter(|option| ["ro", "size=65536k", "size=7"].contains(option));
            let masked = linux.masked_paths().as_ref().map_or(0, Vec::len);
            (masked, interesting.map(str::to_owned).collect::<Vec<_>>())
        };
        let mut settings = Settings::default();
        assert_eq!(
            paths(&settings),
            (10, ["size=65536k", "size=65536k", "ro", "ro"].map(String::from).to_vec())
        );
        settings.privileges.unmasked = true;
        assert_eq!(paths(&settings).0, 0);
        settings.privileges = Privileges { privileged: true, ..Privileges::default() };
        settings.limits.shm_bytes = Some(7);
        assert_eq!(paths(&settings), (0, ["size=65536k", "size=7"].map(String::from).to_vec()));
    }

    fn configuration(settings: &Settings) -> Spec {
        let process = process(&spec(&[]), Path::new("/"), &user(0), settings).unwrap();
        container(Path::new("/root"), "box", (settings, &[]), process, Pid::from_raw(7)).unwrap()
    }

    #[test]
    fn what_is_mounted_deeper_comes_later() {
        let share = |path: &str, directory: bool| Share {
            path: path.into(),
            read_only: !directory,
            directory,
            options: vec!["nosuid".into()],
            fill: false,
        };
        let settings = Settings {
            tmpfs: vec![Tmpfs { path: "/a/b".into(), options: Vec::new() }],
            ..Settings::default()
        };
        let all = mounts(&settings, &[share("/a/b/c", false), share("/a", true)]);
        let own: Vec<_> = all.iter().skip(get_default_mounts().len()).collect();
        let seen: Vec<_> = own
            .iter()
            .map(|mount| (mount.destination().to_str(), mount.source().as_deref()))
            .map(|(to, from)| (to.unwrap(), from.unwrap().to_str().unwrap()))
            .collect();
        assert_eq!(
            seen,
            [("/a", "/run/vxn/shares/1"), ("/a/b", "tmpfs"), ("/a/b/c", "/run/vxn/shares/0/file"),]
        );
        assert_eq!(own[0].options().as_ref().unwrap()[3..], ["rw", "nosuid"]);
        assert_eq!(own[2].options().as_ref().unwrap()[3], "ro");
    }

    fn libcontainer_json(spec: &Spec) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        spec.save(&path).unwrap();
        std::fs::read_to_string(path).unwrap()
    }
}
