//! The workshop image: a server, a database and a compiler as Debian has them, on as
//! little as they need, for containers that do what people have containers for.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::debian::copy;
use super::entries::{dir, file, root, symlink};
use super::layout::{Layout, Stored};

/// What is in it. tcc stands in for gcc, which is ten times its size: what is to be
/// seen are the files that a compiler reads and writes.
pub const PACKAGES: [&str; 5] = ["busybox-static", "libc6-dev", "nginx-light", "sqlite3", "tcc"];

/// What nobody reads there, and what takes most of the time to unpack.
const LEFT_OUT: [&str; 5] =
    ["usr/share/doc/", "usr/share/man/", "usr/share/locale/", "usr/share/perl/", "var/lib/dpkg/"];

/// Packages that are only unpacked know no users.
const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
    www-data:x:33:33:www-data:/var/www:/bin/false\n\
    builder:x:1000:1000::/:/bin/sh\n";
const GROUP: &[u8] = b"root:x:0:\nadm:x:4:\nwww-data:x:33:\nbuilder:x:1000:\n";

/// Docker's nginx has its log on stdout, and stays in the foreground.
const NGINX: &[u8] = b"daemon off;\nuser www-data;\nworker_processes 1;\n\
    error_log /dev/stderr notice;\npid /run/nginx.pid;\n\
    events { worker_connections 64; }\n\
    http {\n  access_log /dev/stdout;\n  server {\n    listen 80;\n    listen [::]:80;\n\
    \x20   root /var/www/html;\n    location = /name { return 200 $hostname; }\n  }\n}\n";

const PAGE: &[u8] = b"<h1>It works in a DomU</h1>\n";

/// Writes the layout to `layout` from the tar of the unpacked packages.
pub fn build(layout: &Path, base: &Path) -> Result<()> {
    let mut layout = Layout::create(layout)?;
    let wanted = |path: &str| !LEFT_OUT.iter().any(|left_out| path.starts_with(left_out));
    let packages = layout.layer(Stored::Gzip, |tar| copy(base, tar, wanted))?;
    let settings = layout.layer(Stored::Plain, |tar| {
        file(tar, "etc/passwd", root(0o644), PASSWD)?;
        file(tar, "etc/group", root(0o644), GROUP)?;
        file(tar, "etc/nginx/nginx.conf", root(0o644), NGINX)?;
        for path in ["var/www", "var/www/html", "var/lib/nginx", "var/log/nginx", "run"] {
            dir(tar, path, root(0o755))?;
        }
        dir(tar, "tmp", root(0o1777))?;
        file(tar, "var/www/html/index.html", root(0o644), PAGE)?;
        symlink(tar, "usr/local/bin/sh", "/bin/busybox")
    })?;
    let config = json!({
        "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Cmd": ["nginx"],
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGQUIT",
    });
    layout.image("latest", &[packages, settings], &config)?;
    layout.finish()
}
