//! The program of a process, looked for in the root file system: callers want to know
//! that there is none when they create the container, in runc's words.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use oci_spec::runtime::Process;

use super::error::at;
use super::{Error, Result};

/// The kernel's search path where the environment has none.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Looks for the program of `process` below `rootfs`. What lies on one of `mounts`, the
/// guest alone can look for.
///
/// # Errors
/// [`Error::Program`].
pub fn check(process: &Process, rootfs: &Path, mounts: &[&str]) -> Result<()> {
    let program = process.args().as_ref().and_then(|args| args.first()).cloned();
    let program = program.unwrap_or_default();
    let refuse = |why| Err(Error::Program { program: program.clone(), why });
    let found = candidates(process, &program);
    if found.iter().any(|path| mounts.iter().any(|mount| path.starts_with(mount))) {
        return Ok(());
    }
    let root = File::open(rootfs).map_err(at(rootfs))?;
    let mut denied = false;
    for path in &found {
        match mode(&root, path) {
            Ok(Some(mode)) if mode & 0o111 != 0 => return Ok(()),
            Ok(_) => denied = true,
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => denied = true,
            Err(_) => {}
        }
    }
    match (denied, program.contains('/')) {
        (true, _) => refuse("permission denied"),
        (false, true) => refuse("no such file or directory"),
        (false, false) => refuse("executable file not found in $PATH"),
    }
}

/// Where the program may be, as paths of the container.
fn candidates(process: &Process, program: &str) -> Vec<PathBuf> {
    if program.is_empty() {
        return Vec::new();
    }
    if program.contains('/') {
        return vec![process.cwd().join(program)];
    }
    let env = process.env().iter().flatten();
    let path = env.rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    path.split(':').map(|dir| process.cwd().join(dir).join(program)).collect()
}

/// The mode of a file, found as if `root` were `/`; none for what is no file.
fn mode(root: &File, path: &Path) -> io::Result<Option<u32>> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let meta = File::from(openat2(root, path, how)?).metadata()?;
    Ok(meta.is_file().then(|| meta.permissions().mode()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn outcome(program: &str, mounts: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("usr/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(dir.path().join("srv")).unwrap();
        for (name, mode) in [("run", 0o755), ("text", 0o644)] {
            fs::write(bin.join(name), "").unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("/usr/bin/run", bin.join("link")).unwrap();
        symlink("usr/bin", dir.path().join("bin")).unwrap();
        let process: Process = serde_json::from_value(serde_json::json!({
            "user": {"uid": 0, "gid": 0}, "cwd": "/srv", "args": [program],
            "env": ["PATH=/nowhere:/bin"],
        }))
        .unwrap();
        check(&process, dir.path(), mounts).map_or_else(|e| e.to_string(), |()| "found".to_owned())
    }

    #[test]
    fn programs_are_found_in_the_root_and_nowhere_else() {
        for program in ["run", "link", "/bin/run", "../bin/link"] {
            assert_eq!(outcome(program, &[]), "found", "{program}");
        }
        assert_eq!(outcome("nosuch", &[]), r#"exec: "nosuch": executable file not found in $PATH"#);
        assert_eq!(outcome("/nosuch", &[]), r#"exec: "/nosuch": no such file or directory"#);
        assert_eq!(outcome("text", &[]), r#"exec: "text": permission denied"#);
        assert_eq!(outcome("/usr", &[]), r#"exec: "/usr": permission denied"#);
        assert_eq!(outcome("/mnt/x", &["/mnt"]), "found");
    }
}
