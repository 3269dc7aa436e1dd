//! Credentials for registries: skopeo asks, tries and keeps them, in its own
//! file or with the helpers that it is set up for.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::fetch::message;
use super::{Error, Result};
use crate::tool::{self, SKOPEO};

/// Who logs in where.
#[derive(Debug)]
pub struct Login<'a> {
    /// Host and port.
    pub registry: &'a str,
    /// The user; skopeo asks for one if it is missing.
    pub username: Option<&'a str>,
    /// The password; skopeo asks for one if it is missing.
    pub password: Option<&'a str>,
    /// Whether the password comes from stdin.
    pub password_stdin: bool,
    /// The file to keep them in.
    pub authfile: Option<&'a Path>,
    /// Demand HTTPS and a valid certificate.
    pub tls_verify: bool,
}

/// Logs in.
pub fn login(login: &Login<'_>) -> Result<()> {
    let mut command = SKOPEO.command()?;
    command.arg("login");
    if !login.tls_verify {
        command.arg("--tls-verify=false");
    }
    if let Some(name) = login.username {
        command.arg("--username").arg(name);
    }
    // Never on its command line, where everybody can read it.
    let ours = login.password.is_some();
    if ours || login.password_stdin {
        command.arg("--password-stdin");
    }
    command.stdin(if ours { Stdio::piped() } else { Stdio::inherit() });
    finish(command, login.registry, login.authfile, login.password)
}

/// Forgets the credentials for `registry`, or all.
pub fn logout(registry: Option<&str>, authfile: Option<&Path>) -> Result<()> {
    let mut command = SKOPEO.command()?;
    command.arg("logout");
    match registry {
        Some(registry) => finish(command, registry, authfile, None),
        None => {
            command.arg("--all");
            finish(command, "", authfile, None)
        }
    }
}

fn finish(
    mut command: Command,
    registry: &str,
    authfile: Option<&Path>,
    password: Option<&str>,
) -> Result<()> {
    if let Some(file) = authfile {
        command.arg("--authfile").arg(file);
    }
    if !registry.is_empty() {
        command.arg("--").arg(registry);
    }
    let mut running = SKOPEO.start(command.stdout(Stdio::inherit()))?;
    if let (Some(mut stdin), Some(password)) = (running.stdin(), password) {
        // If it does not listen, it says why.
        drop(stdin.write_all(password.as_bytes()));
    }
    running.wait().map(drop).map_err(|e| match e {
        tool::Error::Failed { words, .. } if !words.trim().is_empty() => {
            Error::Login { registry: registry.to_owned(), words: message(&words) }
        }
        other => Error::Tool(other),
    })
}
