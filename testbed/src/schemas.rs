//! The JSON schemas of the OCI runtime specification, by which others read what vxn writes.
//! They come with a Debian package; trixie's is the first that knows `features`.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use boon::Compiler;
use serde_json::Value;

use crate::cache;
use crate::mmdebstrap::Mmdebstrap;

const SUITE: &str = "trixie";
const PACKAGE: &str = "golang-github-opencontainers-specs-dev";
/// Where the package has them.
const SCHEMAS: &str = "root/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema";

/// What the specification has a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bundle's `config.json`.
    Config,
    /// What a runtime's `features` prints.
    Features,
    /// What a runtime's `state` prints, and what hooks have on their stdin.
    State,
}

impl Kind {
    fn file(self) -> &'static str {
        match self {
            Kind::Config => "config-schema.json",
            Kind::Features => "features-schema.json",
            Kind::State => "state-schema.json",
        }
    }
}

/// The schemas as files.
#[derive(Debug, Clone)]
pub struct Schemas {
    dir: PathBuf,
}

impl Schemas {
    /// Those in the cache, fetched when it has none.
    pub fn get() -> Result<Self> {
        let root = Mmdebstrap::new("extract").include(&[PACKAGE]).suite(SUITE);
        let recipe = root.recipe().chain([SUITE.as_bytes()]);
        let dir = cache::entry("oci-schemas", recipe, |dir| root.run(dir, &dir.join("root")));
        let dir = dir.with_context(|| format!("{SUITE}'s {PACKAGE} cannot be had"))?;
        Ok(Self { dir: dir.join(SCHEMAS) })
    }

    /// Whether `value` is what the specification says of its kind; the error tells where
    /// it is not.
    pub fn check(&self, kind: Kind, value: &Value) -> Result<()> {
        let path = self.dir.join(kind.file());
        let path = path.to_str().ok_or_else(|| anyhow!("{} is not UTF-8", path.display()))?;
        let mut schemas = boon::Schemas::new();
        let schema =
            Compiler::new().compile(path, &mut schemas).map_err(|e| anyhow!("{path}: {e:#}"))?;
        schemas.validate(value, schema).map_err(|e| anyhow!("{e:#}\n{value:#}"))
    }
}
