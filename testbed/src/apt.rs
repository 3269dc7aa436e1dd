//! Debian packages of the build host: which are missing, and getting them.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::tool;

/// A Debian package that the host needs, and what for.
#[derive(Debug, Clone, Copy)]
pub struct Package {
    /// The name that apt knows.
    pub name: &'static str,
    /// What stops working without it.
    pub why: &'static str,
}

/// Those of `wanted` that are not installed.
pub fn missing(wanted: &[Package]) -> Result<Vec<Package>> {
    if !tool::exists("dpkg-query") {
        bail!("this is not a Debian system: install by hand {}", names(wanted).join(" "));
    }
    let listed = tool::output(tool::command("dpkg-query").args([
        "-W",
        "-f",
        "${Package} ${db:Status-Status}\n",
    ]))?;
    let listed = String::from_utf8_lossy(&listed);
    let installed = |name: &str| listed.lines().any(|line| line == format!("{name} installed"));
    Ok(wanted.iter().copied().filter(|package| !installed(package.name)).collect())
}

/// Installs those of `wanted` that are missing, telling the user each one and why.
pub fn install(wanted: &[Package]) -> Result<()> {
    let missing = missing(wanted)?;
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("testbed: installing {} Debian packages:", missing.len());
    for package in &missing {
        eprintln!("testbed:   {:<22} {}", package.name, package.why);
    }
    tool::run(tool::root_command("apt-get").args(["-q", "update"]))?;
    tool::run(
        tool::root_command("env")
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"])
            .args(["--no-install-recommends", "install"])
            .args(names(&missing)),
    )
    .context("the packages cannot be installed")
}

fn names(packages: &[Package]) -> Vec<&'static str> {
    packages.iter().map(|package| package.name).collect()
}

/// Writes a sources.list with the host's own Debian sources of `suite`, so that
/// its mirror serves us too. Without any (another release, another system),
/// nothing is written and mmdebstrap's defaults apply.
pub fn write_sources(suite: &str, path: &Path) -> Result<bool> {
    let format = "$(ORIGIN) $(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)";
    let targets = tool::output(tool::command("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]))?;
    let mut lines = Vec::new();
    for target in String::from_utf8_lossy(&targets).lines() {
        let words: Vec<&str> = target.split(' ').collect();
        if let ["Debian", codename, uri, release, component] = words[..] {
            if codename.starts_with(suite) {
                lines.push(format!("deb [signed-by={KEYRING}] {uri} {release} {component}\n"));
            }
        }
    }
    let has_suite = lines.iter().any(|line| line.contains(&format!(" {suite} ")));
    if has_suite {
        std::fs::write(path, lines.concat())?;
    }
    Ok(has_suite)
}

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The host's apt settings for proxies, in apt.conf's own words.
pub fn proxies() -> Result<Vec<String>> {
    let settings = tool::output(tool::command("apt-config").args([
        "dump",
        "--no-empty",
        "--format",
        "%F \"%v\";%n",
        "Acquire::http::Proxy",
        "Acquire::https::Proxy",
    ]))?;
    Ok(String::from_utf8_lossy(&settings).lines().map(str::to_owned).collect())
}
