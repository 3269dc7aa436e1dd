//! Which profile a container gets: docker's words for `--security-opt seccomp=`, and the
//! setting `seccomp`.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use vxn_proto::Privileges;

use super::profile::Profile;
use super::{Error, Filter, Result, compile};

/// Where podman and its packages have the default profile, the administrator's first.
pub(super) const PATHS: [&str; 2] =
    ["/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json"];

/// More than any real profile has, in bytes.
const MAX_PROFILE: u64 = 4 << 20;

/// A profile, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// No filter.
    Unconfined,
    /// The default profile that this host has.
    BuiltIn,
    /// The one of a file.
    File(PathBuf),
}

impl FromStr for Choice {
    type Err = Infallible;

    fn from_str(text: &str) -> std::result::Result<Choice, Infallible> {
        Ok(match text {
            "unconfined" => Choice::Unconfined,
            "builtin" => Choice::BuiltIn,
            path => Choice::File(path.into()),
        })
    }
}

impl Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Unconfined => f.write_str("unconfined"),
            Choice::BuiltIn => f.write_str("builtin"),
            Choice::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Choice {
    /// The filter for processes that may do what `privileges` say: some rules of a profile
    /// are for who has a capability.
    ///
    /// # Errors
    /// The profile is not there, or is none.
    pub fn filter(&self, privileges: &Privileges) -> Result<Option<Filter>> {
        let path = match self {
            Choice::Unconfined => return Ok(None),
            Choice::BuiltIn => default().ok_or(Error::NoDefault)?,
            Choice::File(path) => path,
        };
        let text = read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let wrong = |why| Error::Decode { path: path.to_owned(), why };
        let profile: Profile = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let filter = compile(&profile.resolve(privileges).map_err(wrong)?)?;
        Ok(Some(Filter { profile: self.to_string(), ..filter }))
    }
}

/// The default profile, if this host has one.
fn default() -> Option<&'static Path> {
    PATHS.iter().map(Path::new).find(|path| path.exists())
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(MAX_PROFILE + 1).read_to_string(&mut text)?;
    if length as u64 > MAX_PROFILE {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_PROFILE >> 20)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &Path) -> Result<Option<Filter>> {
        Choice::File(path.to_owned()).filter(&Privileges::default())
    }

    #[test]
    fn words_are_dockers_and_anything_else_is_a_file() {
        for (text, choice) in [
            ("unconfined", Choice::Unconfined),
            ("builtin", Choice::BuiltIn),
            ("p.json", Choice::File("p.json".into())),
        ] {
            assert_eq!(text.parse(), Ok(choice), "{text}");
        }
        let none = Choice::Unconfined.filter(&Privileges::default());
        assert!(none.unwrap().is_none());
    }

    #[test]
    fn a_profile_that_is_none_is_told_as_docker_tells_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.json");
        let error = of(&path).unwrap_err().to_string();
        assert!(error.starts_with("opening seccomp profile ("), "{error}");
        assert!(error.contains("No such file"), "{error}");
        std::fs::write(&path, " ".repeat(MAX_PROFILE as usize + 1)).unwrap();
        let error = of(&path).unwrap_err().to_string();
        assert!(error.ends_with("it is larger than 4 MiB"), "{error}");
        for (text, what) in [
            ("", "EOF"),
            ("{}", "defaultAction"),
            (r#"{"defaultAction":"SCMP_ACT_WINK"}"#, "SCMP_ACT_WINK"),
            (r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_Z80"]}"#, "Z80"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = of(&path).unwrap_err().to_string();
            let begin = "decoding seccomp profile (";
            assert!(error.starts_with(begin) && error.contains(what), "{error}");
        }
    }

    #[test]
    fn the_default_profile_of_this_host_is_one() {
        let filter = match Choice::BuiltIn.filter(&Privileges::default()) {
            Err(Error::NoDefault) => return println!("SKIPPED: no default profile here"),
            filter => filter.unwrap().unwrap(),
        };
        assert_eq!(filter.profile, "builtin");
        let full = Privileges { privileged: true, ..Privileges::default() };
        assert_ne!(Choice::BuiltIn.filter(&full).unwrap().unwrap().program, filter.program);
    }
}
