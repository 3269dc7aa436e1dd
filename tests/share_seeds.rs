//! The seed corpus of the fuzz target `share`, run as an ordinary test.

#[path = "share/mod.rs"]
mod share;

use std::fs;
use std::path::Path;

/// The type of an error.
const RLERROR: u8 = 7;

#[test]
fn seeds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/share");
    let mut count = 0;
    for seed in fs::read_dir(seeds).unwrap() {
        let seed = seed.unwrap();
        let answers = share::check(&fs::read(seed.path()).unwrap());
        let name = seed.file_name().into_string().unwrap();
        let refused = answers.iter().filter(|kind| **kind == RLERROR).count();
        match name.split('-').next() {
            // An honest session is answered to its end.
            Some("good") => assert!(answers.len() > 10 && refused == 0, "{name}: {answers:?}"),
            // What a hostile one asks last is refused.
            Some("refused") => assert_eq!(answers.last(), Some(&RLERROR), "{name}: {answers:?}"),
            // What is no message has no answer.
            _ => assert_eq!(answers.len(), 2, "{name}: {answers:?}"),
        }
        count += 1;
    }
    assert_eq!(count, 9);
}
