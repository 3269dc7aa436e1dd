//! Names for containers whose users give none.

use std::io;

use super::Name;
use super::id::random_bytes;

const ADJECTIVES: [&str; 32] = [
    "amber", "bold", "brisk", "calm", "clear", "cosy", "crisp", "deft", "eager", "early", "fair",
    "fleet", "fond", "gentle", "glad", "golden", "hardy", "keen", "kind", "light", "lively",
    "mellow", "merry", "mild", "neat", "nimble", "proud", "quiet", "serene", "sunny", "swift",
    "warm",
];
const NOUNS: [&str; 32] = [
    "alder", "ash", "aspen", "badger", "beech", "birch", "brook", "cedar", "crane", "curlew",
    "dune", "elm", "falcon", "fern", "finch", "fjord", "hare", "hazel", "heron", "lark", "linden",
    "lynx", "maple", "marten", "otter", "pine", "plover", "raven", "rowan", "sparrow", "willow",
    "wren",
];

/// A name that people can read, with enough chance in it that it is a new one.
pub fn random() -> io::Result<Name> {
    let [a, b, c, d] = random_bytes()?;
    let (adjective, noun) = (ADJECTIVES[usize::from(a) % 32], NOUNS[usize::from(b) % 32]);
    let number = u16::from_le_bytes([c, d]) % 1000;
    format!("{adjective}_{noun}_{number}").parse().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let names: std::collections::BTreeSet<String> =
            (0..50).map(|_| random().unwrap().to_string()).collect();
        assert!(names.len() > 45, "{names:?}");
    }
}
