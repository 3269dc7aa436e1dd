//! Ids and names of containers.

use std::fmt::{self, Display};
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// 256 random bits in hexadecimal, as docker's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

const LENGTH: usize = 64;
const SHORT: usize = 12;

impl ContainerId {
    /// A new one, from the kernel's random numbers.
    pub fn random() -> io::Result<ContainerId> {
        let bytes = random_bytes::<{ LENGTH / 2 }>()?;
        Ok(ContainerId(bytes.iter().map(|b| format!("{b:02x}")).collect()))
    }

    /// The first twelve characters: what people read and type.
    pub fn short(&self) -> &str {
        &self.0[..SHORT]
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Bytes of the kernel's random number generator.
pub(crate) fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ContainerId {
    type Error = String;

    fn try_from(text: String) -> Result<ContainerId, String> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == LENGTH && text.bytes().all(hex) {
            Ok(ContainerId(text))
        } else {
            Err(format!("{text:?} is not a container id"))
        }
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> String {
        id.0
    }
}

/// A container's name, which is also its DomU's: docker's rule, and never all
/// digits, which xl would read as a domid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
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
        let mut bytes = text.bytes();
        if !bytes.next().is_some_and(|b| b.is_ascii_alphanumeric()) || !bytes.all(rest) {
            return Err(format!("{text:?} is not a name: only [a-zA-Z0-9][a-zA-Z0-9_.-]* is"));
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!("{text:?} is all digits, which Xen's tools read as a domid"));
        }
        if text.len() > 128 {
            return Err(format!("a name of {} characters is too long (128 at most)", text.len()));
        }
        Ok(Name(text.to_owned()))
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
    fn ids_are_random_and_read_back() {
        let id = ContainerId::random().unwrap();
        assert_ne!(id, ContainerId::random().unwrap());
        assert_eq!(ContainerId::try_from(id.to_string()), Ok(id.clone()));
        assert!(id.as_str().starts_with(id.short()));
        for text in ["", "abc", &"G".repeat(64), &"../a".repeat(16)] {
            assert!(ContainerId::try_from(text.to_owned()).is_err());
        }
    }

    #[test]
    fn names_follow_docker_and_are_no_domids() {
        for name in ["web", "a.b-c_d", "0a"] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
        for name in ["", "-a", "a/b", "..", "17", "ä", "a b"] {
            assert!(name.parse::<Name>().is_err(), "{name}");
        }
    }
}
