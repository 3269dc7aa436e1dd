//! Content addresses, and readers that hold content to them.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use oci_spec::image::{Descriptor, MediaType};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A sha256 content address, `sha256:` and 64 lower-case hex digits
/// (OCI image-spec, descriptor.md#digests).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// The text is no sha256 digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no sha256 digest")]
pub struct NotADigest(String);

impl Digest {
    /// The address of `bytes`.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The address of all that `from` gives.
    pub(super) fn of_reader(mut from: impl Read) -> io::Result<Digest> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(Digest(hasher.finalize().into())),
                Ok(n) => hasher.update(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// What a manifest or an index says about this content of `size` bytes.
    pub(super) fn descriptor(&self, media: MediaType, size: u64) -> super::Result<Descriptor> {
        let address: oci_spec::image::Digest = self
            .to_string()
            .parse()
            .map_err(|e| super::Error::Document { digest: *self, why: format!("{e}") })?;
        Ok(Descriptor::new(media, size, address))
    }

    /// The first 12 hex digits, as docker shows ids.
    pub fn short(&self) -> String {
        self.hex()[..12].to_owned()
    }

    /// Its beginning, for what is to be spread evenly.
    pub(super) fn first_bytes(&self) -> [u8; 8] {
        self.0.first_chunk().copied().unwrap_or_default()
    }

    /// The 64 hex digits, for file names.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl From<Sha256> for Digest {
    /// The address of what was hashed.
    fn from(hash: Sha256) -> Digest {
        Digest(hash.finalize().into())
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Digest, NotADigest> {
        let fail = || NotADigest(text.to_owned());
        let hex = text.strip_prefix("sha256:").ok_or_else(fail)?.as_bytes();
        if hex.len() != 64 {
            return Err(fail());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte =
                nibble(pair[0]).zip(nibble(pair[1])).map(|(h, l)| h << 4 | l).ok_or_else(fail)?;
        }
        Ok(Digest(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;

    fn try_from(text: String) -> Result<Digest, NotADigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads on to the end of `inner`, and in place of the end returns an error
/// (`InvalidData`) when the content does not have the digest it should have.
#[derive(Debug)]
pub struct Verified<R> {
    inner: R,
    expected: Digest,
    hasher: Sha256,
}

impl<R: Read> Verified<R> {
    /// Holds `inner` to `expected`.
    pub fn new(inner: R, expected: Digest) -> Verified<R> {
        Verified { inner, expected, hasher: Sha256::new() }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        if n == 0 && !buffer.is_empty() {
            let found = Digest::from(self.hasher.clone());
            if found != self.expected {
                return Err(io::Error::new(io::ErrorKind::InvalidData, Mismatch { found }));
            }
        }
        Ok(n)
    }
}

/// Content that is not what its address says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content has digest {found}")]
pub struct Mismatch {
    /// The digest of what was read.
    pub found: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn parses_and_prints() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Digest::of(b"")));
        for bad in ["", "sha256:", "sha512:00", &EMPTY.to_uppercase(), &EMPTY[..70]] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn wrong_content_has_no_end() {
        let mut out = Vec::new();
        Verified::new(&b"x"[..], Digest::of(b"x")).read_to_end(&mut out).unwrap();
        let error = Verified::new(&b"y"[..], Digest::of(b"x")).read_to_end(&mut out).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(&Digest::of(b"y").to_string()));
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in "\\PC*") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
