//! The busybox image: small, starts fast.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::entries::{Tar, dir, file, owned, root, symlink};
use super::layout::{Layout, Stored};
use crate::tool;

/// Whom the image knows: root, and an ordinary user with two more groups.
const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
    nobody:x:65534:65534:nobody:/:/bin/false\n\
    user:x:1000:1000:An ordinary user:/home/user:/bin/sh\n";
const GROUP: &[u8] = b"root:x:0:\nnogroup:x:65534:\nuser:x:1000:\n\
    audio:x:29:user\nstaff:x:50:root,user\n";

/// A file and its mode, to be refused (126) or found by a test.
const FIXTURES: &[(&str, u32, &[u8])] = &[
    ("fixtures/script", 0o755, b"#!/bin/sh\nprintf '%s\\n' \"$@\"\n"),
    ("fixtures/not-executable", 0o644, b"#!/bin/sh\necho never\n"),
    ("fixtures/no-interpreter", 0o755, b"#!/no/such/interpreter\n"),
    ("fixtures/unknown-format", 0o755, b"\x00\x01\x02\x03\n"),
];

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Writes the layout `busybox`.
pub fn build(layout: &Path, busybox: &Path) -> Result<()> {
    write(layout, busybox, &json!({"Env": [PATH], "Cmd": ["sh"]}))
}

/// Writes the layout `configured`: the same root, and every setting that an
/// image can make.
pub fn build_configured(layout: &Path, busybox: &Path) -> Result<()> {
    let config = json!({
        "Env": [PATH, "FROM_IMAGE=yes", "BOTH=image"],
        "Entrypoint": ["/fixtures/script", "entrypoint"],
        "Cmd": ["default command"],
        "WorkingDir": "/work/made by the engine",
        "User": "user",
    });
    write(layout, busybox, &config)
}

fn write(layout: &Path, busybox: &Path, config: &Value) -> Result<()> {
    let applets = tool::output(tool::command(busybox).arg("--list-full"))?;
    let binary = std::fs::read(busybox)?;
    let mut layout = Layout::create(layout)?;
    let layer = layout.layer(Stored::Gzip, |tar| {
        write_base(tar)?;
        file(tar, "bin/busybox", root(0o755), &binary)?;
        for applet in String::from_utf8_lossy(&applets).lines().filter(|path| is_command(path)) {
            symlink(tar, applet, "/bin/busybox")?;
        }
        FIXTURES.iter().try_for_each(|(path, mode, bytes)| file(tar, path, root(*mode), bytes))
    })?;
    layout.image("latest", &[layer], config)?;
    layout.finish()
}

fn write_base(tar: &mut Tar<'_>) -> Result<()> {
    for path in ["bin", "dev", "etc", "fixtures", "home", "proc", "sbin", "sys", "usr", "var"] {
        dir(tar, path, root(0o755))?;
    }
    for path in ["usr/bin", "usr/sbin", "var/tmp"] {
        dir(tar, path, root(0o755))?;
    }
    dir(tar, "root", root(0o700))?;
    dir(tar, "tmp", root(0o1777))?;
    dir(tar, "home/user", owned(0o755, 1000, 1000))?;
    file(tar, "etc/passwd", root(0o644), PASSWD)?;
    file(tar, "etc/group", root(0o644), GROUP)
}

/// busybox lists itself among its applets, and paths we have no directory for.
fn is_command(path: &str) -> bool {
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    ["bin", "sbin", "usr/bin", "usr/sbin"].contains(&dir) && path != "bin/busybox"
}
