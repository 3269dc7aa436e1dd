//! mmdebstrap: a Debian root from packages.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{apt, tool};

/// Debian's release of every root that says nothing else, and with it Xen's version.
pub const SUITE: &str = "bookworm";

/// A root to be made. Its arguments are its recipe: nothing of this machine is
/// in them.
#[derive(Debug, Clone)]
pub struct Mmdebstrap {
    suite: &'static str,
    args: Vec<String>,
}

impl Mmdebstrap {
    /// A root of one of mmdebstrap's variants.
    pub fn new(variant: &str) -> Self {
        let variant = format!("--variant={variant}");
        Self { suite: SUITE, args: vec![variant, "--architectures=amd64".to_owned()] }
    }

    /// Takes another release. It has to be in what is cached with the recipe, too.
    pub fn suite(self, suite: &'static str) -> Self {
        Self { suite, ..self }
    }

    /// Adds packages.
    pub fn include(self, packages: &[&str]) -> Self {
        self.arg(format!("--include={}", packages.join(",")))
    }

    /// Leaves out files that match `patterns` of dpkg.
    pub fn exclude(self, patterns: &[&str]) -> Self {
        patterns.iter().fold(self, |this, path| this.arg(format!("--dpkgopt=path-exclude={path}")))
    }

    /// Adds any other argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// All arguments.
    pub fn recipe(&self) -> impl Iterator<Item = &[u8]> {
        self.args.iter().map(String::as_bytes)
    }

    /// Makes the root, which goes to `target`. Hooks run in `dir`, as root; what
    /// they and mmdebstrap leave there belongs to the user in the end.
    pub fn run(&self, dir: &Path, target: &Path) -> Result<()> {
        let mut mmdebstrap = tool::root_command("mmdebstrap");
        mmdebstrap.args(["--quiet", "--mode=root"]).args(&self.args).current_dir(dir);
        mmdebstrap.args(apt::proxies()?.iter().map(|conf| format!("--aptopt={conf}")));
        mmdebstrap.arg(self.suite).arg(target);
        let sources = dir.join("sources.list");
        if apt::write_sources(self.suite, &sources)? {
            mmdebstrap.arg(&sources);
        }
        tool::run(&mut mmdebstrap)?;
        if sources.exists() {
            fs::remove_file(&sources).context("cannot remove sources.list")?;
        }
        own(dir)
    }
}

/// What sudo's mmdebstrap made becomes the user's.
fn own(dir: &Path) -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let owner = format!("{}:{}", nix::unistd::getuid(), nix::unistd::getgid());
    tool::run(tool::root_command("chown").args(["-R", &owner]).arg(dir))
}
