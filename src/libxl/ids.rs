//! How a domain is called: by number while it runs, by UUID for ever.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ffi;

/// The number of a domain. Xen gives it again to others later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DomId(pub u32);

/// Numbers from here on mean other things (`DOMID_FIRST_RESERVED`).
const FIRST_RESERVED: u32 = 0x7ff0;

impl fmt::Display for DomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DomId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<DomId, ParseIdError> {
        match text.parse() {
            Ok(id) if id < FIRST_RESERVED => Ok(DomId(id)),
            _ => Err(ParseIdError { text: text.to_owned(), expected: "a domain id" }),
        }
    }
}

/// The handle of a domain in the hypervisor, chosen by who creates it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// A random one (RFC 9562, version 4), from the kernel's generator.
    pub fn random() -> Uuid {
        let mut bytes = ffi::random();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Uuid(bytes)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uuid {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Uuid, ParseIdError> {
        parse_uuid(text).ok_or_else(|| ParseIdError { text: text.to_owned(), expected: "a UUID" })
    }
}

fn parse_uuid(text: &str) -> Option<Uuid> {
    let dashes: Vec<usize> = text.match_indices('-').map(|(i, _)| i).collect();
    if text.len() != 36 || dashes != [8, 13, 18, 23] {
        return None;
    }
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |b: u8| char::from(b).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(Uuid(bytes))
}

impl From<Uuid> for String {
    fn from(uuid: Uuid) -> String {
        uuid.to_string()
    }
}

impl TryFrom<String> for Uuid {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Uuid, ParseIdError> {
        text.parse()
    }
}

/// A text that does not name what it should.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseIdError {
    pub(super) text: String,
    pub(super) expected: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_written_as_they_are_read() {
        let text = "00112233-4455-6677-8899-aabbccddeeff";
        let uuid: Uuid = text.parse().expect("a UUID");
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.to_uppercase().parse::<Uuid>().expect("a UUID"), uuid);
        let json = serde_json::to_string(&uuid).expect("JSON");
        assert_eq!(serde_json::from_str::<Uuid>(&json).expect("a UUID"), uuid);
    }

    #[test]
    fn other_texts_are_no_uuids() {
        for text in
            ["", "0", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeefg"]
        {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
        assert!("0011223-34455-6677-8899-aabbccddeeff".parse::<Uuid>().is_err());
        assert!("é0112233-4455-6677-8899-aabbccddeef".parse::<Uuid>().is_err());
    }

    #[test]
    fn random_uuids_differ_and_say_their_version() {
        let (one, two) = (Uuid::random(), Uuid::random());
        assert_ne!(one, two);
        assert_eq!(one.to_string().as_bytes()[14], b'4');
    }

    #[test]
    fn reserved_numbers_are_no_domains() {
        assert_eq!("7".parse::<DomId>().expect("an id"), DomId(7));
        for text in ["", "-1", "32752", "1x"] {
            assert!(text.parse::<DomId>().is_err(), "{text}");
        }
    }
}
