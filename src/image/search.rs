//! Searching registries, by curl: skopeo cannot.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use serde_json::Value;

use super::{DEFAULT_REGISTRY, Error, Result};
use crate::tool::{self, CURL};

/// The largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 16 << 20;
/// Seconds that a registry may take.
const TIMEOUT: &str = "30";

/// What is searched for.
#[derive(Debug)]
pub struct Query<'a> {
    /// A part of a name, after `REGISTRY/` where it is not the default.
    pub term: &'a str,
    /// The registry of terms that name none.
    pub registry: &'a str,
    /// At most so many.
    pub limit: usize,
    /// Demand HTTPS and a valid certificate.
    pub tls_verify: bool,
    /// Credentials, in place of skopeo's own default files.
    pub authfile: Option<&'a Path>,
}

/// A repository that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Where.
    pub registry: String,
    /// Its name, registry included.
    pub name: String,
    /// What it says about itself.
    pub description: String,
    /// How many users like it.
    pub stars: u64,
    /// Whether the registry itself looks after it.
    pub official: bool,
}

/// Docker Hub's answer.
#[derive(Deserialize)]
struct Answer {
    results: Vec<HubHit>,
}

#[derive(Deserialize)]
struct HubHit {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    star_count: u64,
    #[serde(default)]
    is_official: bool,
}

/// The distribution protocol's catalogue.
#[derive(Deserialize)]
struct Catalogue {
    repositories: Option<Vec<String>>,
}

/// Asks Docker Hub by its own interface, any other registry for its catalogue.
pub fn search(query: &Query<'_>) -> Result<Vec<Hit>> {
    let (registry, term) = match query.term.split_once('/') {
        Some((host, term)) if host.contains(['.', ':']) || host == "localhost" => (host, term),
        _ => (query.registry, query.term),
    };
    let failed = |words: String| Error::Search { registry: registry.to_owned(), words };
    if registry == DEFAULT_REGISTRY {
        let host = "index.docker.io";
        let arguments = [format!("q={term}"), format!("n={}", query.limit)];
        let answer = get(host, "/v1/search", &arguments, query)?;
        let answer: Answer = serde_json::from_slice(&answer).map_err(|e| failed(e.to_string()))?;
        return Ok(answer.results.into_iter().take(query.limit).map(hub_hit).collect());
    }
    let names = catalogue(registry, query)?.into_iter();
    let hit = |name: String| Hit {
        registry: registry.to_owned(),
        name: format!("{registry}/{name}"),
        description: String::new(),
        stars: 0,
        official: false,
    };
    Ok(names.filter(|name| name.contains(term)).take(query.limit).map(hit).collect())
}

/// What a registry gives at once, and how often it is asked.
const PAGE: usize = 1000;
const MAX_PAGES: usize = 100;

/// All repositories of a registry.
fn catalogue(registry: &str, query: &Query<'_>) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for _ in 0..MAX_PAGES {
        let mut arguments = vec![format!("n={PAGE}")];
        arguments.extend(names.last().map(|name| format!("last={name}")));
        let answer = get(registry, "/v2/_catalog", &arguments, query)?;
        let page: Catalogue = serde_json::from_slice(&answer)
            .map_err(|e| Error::Search { registry: registry.to_owned(), words: e.to_string() })?;
        let page = page.repositories.unwrap_or_default();
        let full = page.len() >= PAGE;
        names.extend(page);
        if !full {
            break;
        }
    }
    Ok(names)
}

fn hub_hit(hit: HubHit) -> Hit {
    Hit {
        registry: DEFAULT_REGISTRY.to_owned(),
        name: format!(
            "{DEFAULT_REGISTRY}/{}{}",
            if hit.name.contains('/') { "" } else { "library/" },
            hit.name
        ),
        description: hit.description.unwrap_or_default(),
        stars: hit.star_count,
        official: hit.is_official,
    }
}

/// One answer. Plain HTTP is tried only where certificates are not demanded.
fn get(host: &str, path: &str, arguments: &[String], query: &Query<'_>) -> Result<Vec<u8>> {
    let secure = request("https", host, path, arguments, query);
    match secure {
        Err(_) if !query.tls_verify => request("http", host, path, arguments, query),
        other => other,
    }
}

fn request(
    scheme: &str,
    host: &str,
    path: &str,
    arguments: &[String],
    query: &Query<'_>,
) -> Result<Vec<u8>> {
    let mut command = CURL.command()?;
    command.args([
        "-q",
        "--silent",
        "--show-error",
        "--fail",
        "--location",
        "--proto",
        "=https,http",
    ]);
    command.args(["--max-time", TIMEOUT, "--config", "-", "--get"]);
    if !query.tls_verify {
        command.arg("--insecure");
    }
    for argument in arguments {
        command.arg("--data-urlencode").arg(argument);
    }
    command.arg(format!("{scheme}://{host}{path}"));
    let mut running = CURL.start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    if let Some(mut stdin) = running.stdin() {
        // On its stdin: everybody can read its command line.
        drop(stdin.write_all(settings(host, query.authfile).as_bytes()));
    }
    let mut answer = Vec::new();
    let read = running.stdout().map(|out| out.take(MAX_ANSWER).read_to_end(&mut answer));
    running.wait().map_err(|e| failure(host, e))?;
    read.transpose()
        .map_err(|e| Error::Search { registry: host.to_owned(), words: e.to_string() })?;
    Ok(answer)
}

/// curl says what went wrong in a line, `curl: (60) …`, and more below it.
fn failure(host: &str, error: tool::Error) -> Error {
    let registry = host.to_owned();
    match error {
        tool::Error::Failed { words, .. } => {
            let line = words.lines().find_map(|line| line.strip_prefix("curl: "));
            Error::Search { registry, words: line.unwrap_or(&words).trim().to_owned() }
        }
        other => Error::Tool(other),
    }
}

/// Lines of curl's configuration: credentials, and the registry's own authority.
fn settings(host: &str, authfile: Option<&Path>) -> String {
    let mut lines = String::new();
    if let Some(auth) = credentials(host, authfile) {
        lines += &format!("header = \"Authorization: Basic {auth}\"\n");
    }
    for dir in ["/etc/containers/certs.d", "/etc/docker/certs.d"] {
        let ca = Path::new(dir).join(host).join("ca.crt");
        if ca.is_file() {
            lines += &format!("cacert = \"{}\"\n", ca.display());
        }
    }
    lines
}

/// What `vxn login` left, in base64 as it is sent.
fn credentials(host: &str, authfile: Option<&Path>) -> Option<String> {
    let env = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let uid = nix::unistd::getuid();
    let files = match authfile {
        Some(file) => vec![file.to_owned()],
        None => [
            env("REGISTRY_AUTH_FILE"),
            env("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
            Some(PathBuf::from(format!("/run/containers/{uid}/auth.json"))),
            env("HOME").map(|dir| dir.join(".docker/config.json")),
        ]
        .into_iter()
        .flatten()
        .collect(),
    };
    let auth = |file: &PathBuf| {
        let text = std::fs::read(file).ok()?;
        let value: Value = serde_json::from_slice(&text).ok()?;
        let auth = value.get("auths")?.get(host)?.get("auth")?.as_str()?;
        // Nothing that could end the header.
        auth.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
            .then(|| auth.to_owned())
    };
    files.iter().find_map(auth)
}
