//! The keys that leave a container's terminal without ending anything.

use std::str::FromStr;

/// A sequence of keys, and how much of it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys {
    keys: Vec<u8>,
    typed: usize,
}

/// docker's: Ctrl-P, Ctrl-Q.
impl Default for DetachKeys {
    fn default() -> DetachKeys {
        DetachKeys { keys: vec![0x10, 0x11], typed: 0 }
    }
}

impl FromStr for DetachKeys {
    type Err = String;

    /// `ctrl-p,ctrl-q`, `ctrl-a,d`, `x`; empty for none.
    fn from_str(text: &str) -> Result<DetachKeys, String> {
        let words = text.split(',').filter(|word| !word.is_empty() || text == ",");
        let keys = words.map(key).collect::<Result<Vec<u8>, String>>()?;
        Ok(DetachKeys { keys, typed: 0 })
    }
}

fn key(word: &str) -> Result<u8, String> {
    let bad = || format!("{word:?} is no key: a letter, or ctrl- and one of a-z @ [ \\ ] ^ _");
    match word.strip_prefix("ctrl-").map(str::as_bytes) {
        Some(&[letter @ b'a'..=b'z']) => Ok(letter - b'a' + 1),
        Some(&[other @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => Ok(other & 0x1f),
        Some(_) => Err(bad()),
        None => match word.as_bytes() {
            &[byte] if byte.is_ascii() => Ok(byte),
            _ => Err(bad()),
        },
    }
}

impl DetachKeys {
    /// Takes what was typed. Returns what goes to the container, and whether the
    /// sequence is complete. Its beginning is held back until it is clear.
    pub fn scan(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut output = Vec::with_capacity(input.len() + self.typed);
        for &byte in input {
            if self.keys.get(self.typed) == Some(&byte) {
                self.typed += 1;
                if self.typed == self.keys.len() {
                    return (output, true);
                }
                continue;
            }
            output.extend_from_slice(&self.keys[..self.typed]);
            self.typed = usize::from(self.keys.first() == Some(&byte));
            if self.typed == 0 {
                output.push(byte);
            } else if self.keys.len() == 1 {
                return (output, true);
            }
        }
        (output, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_read() {
        assert_eq!("ctrl-p,ctrl-q".parse(), Ok(DetachKeys::default()));
        let keys = |text: &str| text.parse::<DetachKeys>().map(|keys| keys.keys);
        assert_eq!(keys("ctrl-a,d"), Ok(vec![1, b'd']));
        assert_eq!(keys("ctrl-@"), Ok(vec![0]));
        assert_eq!(keys(""), Ok(vec![]));
        for bad in ["ctrl-1", "ctrl-", "escape", "ä"] {
            assert!(keys(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_whole_sequence_leaves() {
        let mut keys = DetachKeys::default();
        assert_eq!(keys.scan(b"ab"), (b"ab".to_vec(), false));
        assert_eq!(keys.scan(b"c\x10"), (b"c".to_vec(), false));
        assert_eq!(keys.scan(b"x"), (b"\x10x".to_vec(), false));
        assert_eq!(keys.scan(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(keys.scan(b"\x11rest"), (b"".to_vec(), true));
        let mut none: DetachKeys = "".parse().unwrap();
        assert_eq!(none.scan(b"\x10\x11"), (b"\x10\x11".to_vec(), false));
        let mut one: DetachKeys = "x".parse().unwrap();
        assert_eq!(one.scan(b"ax"), (b"a".to_vec(), true));
    }
}
