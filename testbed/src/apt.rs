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
/// its mirror serves us too: a mirror of another release has this one beside it. Without
/// any (another system), nothing is written and mmdebstrap's defaults apply.
pub fn write_sources(suite: &str, path: &Path) -> Result<bool> {
    let format = "$(ORIGIN) $(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)";
    let targets = tool::output(tool::command("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]))?;
    let lines = sources(suite, &String::from_utf8_lossy(&targets));
    if !lines.is_empty() {
        std::fs::write(path, lines.concat())?;
    }
    Ok(!lines.is_empty())
}

/// The lines, out of the host's sources: origin, code name, address, release, component.
fn sources(suite: &str, targets: &str) -> Vec<String> {
    let line = |uri, release, component| {
        format!("deb [signed-by={KEYRING}] {uri} {release} {component}\n")
    };
    let (mut lines, mut others) = (Vec::new(), Vec::new());
    for target in targets.lines() {
        let words: Vec<&str> = target.split(' ').collect();
        if let ["Debian", codename, uri, release, component] = words[..] {
            if codename.starts_with(suite) {
                lines.push(line(uri, release, component));
            } else if codename == release && !codename.contains('-') && component == "main" {
                others = vec![line(uri, suite, component)];
            }
        }
    }
    let has_suite = lines.iter().any(|line| line.contains(&format!(" {suite} ")));
    if has_suite { lines } else { others }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_mirror_serves_other_releases_too() {
        let targets = "Debian bookworm http://mirror/debian/ bookworm main\n\
                       Debian bookworm-updates http://mirror/debian/ bookworm-updates main\n\
                       Debian bookworm-security http://mirror/security/ bookworm-security main\n\
                       Other nodistro http://other/ nodistro main\n";
        let own = sources("bookworm", targets);
        assert_eq!(own.len(), 3);
        assert!(own[2].ends_with("] http://mirror/security/ bookworm-security main\n"));
        let [line] = &sources("trixie", targets)[..] else { panic!() };
        assert!(line.ends_with("] http://mirror/debian/ trixie main\n"), "{line}");
        assert!(sources("trixie", "Ubuntu noble http://u/ noble main\n").is_empty());
    }
}
