//! Amounts of memory, and of room on a disk.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::Serialize;

/// An amount of memory, written as docker and xl write it: `256M`, `1g`, bytes
/// without a suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Memory {
    bytes: u64,
}

impl Memory {
    /// From MiB.
    pub const fn from_mib(mib: u64) -> Memory {
        Memory { bytes: mib << 20 }
    }

    /// From bytes.
    pub const fn from_bytes(bytes: u64) -> Memory {
        Memory { bytes }
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// In KiB, rounded up, as libxl counts.
    pub const fn kib(self) -> u64 {
        self.bytes.div_ceil(1024)
    }
}

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Memory, String> {
        let bad = || format!("{text:?} is not an amount of memory such as 256M or 1G");
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(bad()),
        };
        let number: u64 = digits.parse().map_err(|_| bad())?;
        let bytes = number.checked_mul(1 << shift).ok_or_else(bad)?;
        Ok(Memory { bytes })
    }
}

impl Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "G"), (20, "M"), (10, "K")];
        match units.iter().find(|(s, _)| self.bytes > 0 && self.bytes % (1 << s) == 0) {
            Some((shift, unit)) => write!(f, "{}{unit}", self.bytes >> shift),
            None => write!(f, "{}", self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_and_written_as_docker_does() {
        for (text, kib) in [("256M", 262_144), ("1g", 1 << 20), ("2097152", 2048), ("10kb", 10)] {
            assert_eq!(text.parse::<Memory>().unwrap().kib(), kib, "{text}");
        }
        for text in ["", "M", "-1M", "1T", "99999999999999999999", "18446744073709551615G"] {
            assert!(text.parse::<Memory>().is_err(), "{text}");
        }
        assert_eq!("1024M".parse::<Memory>().unwrap().to_string(), "1G");
    }
}
