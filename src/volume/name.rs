//! Names of volumes.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A volume's name, by docker's rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// 256 random bits in hexadecimal, as docker's.
    ///
    /// # Errors
    /// The random number generator's.
    pub fn random() -> io::Result<Name> {
        let mut bytes = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Name(bytes.iter().map(|b| format!("{b:02x}")).collect()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Name, String> {
        let rest = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !first || !text.bytes().all(rest) {
            return Err(format!(
                "{text:?} includes invalid characters for a volume name, only \
                 [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed; a directory has an absolute path"
            ));
        }
        match text.len() {
            1 => Err(format!("{text:?} is too short for a volume name: two characters at least")),
            2..=255 => Ok(Name(text.to_owned())),
            length => {
                Err(format!("a volume name of {length} characters is too long (255 at most)"))
            }
        }
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Name, String> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_docker() {
        let long = "x".repeat(256);
        for name in ["ab", "0a", "a.b-c_d", "a..", &long[..255]] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
        for name in ["", "a", ".a", "-a", "a/b", "..", "a b", "ä", "a\0", &long] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
        assert_eq!(Name::random().unwrap().as_str().len(), 64);
    }
}
