//! The seeds of the fuzz target `layer_merge`, run as a test.

mod layer_merge;

use std::fs;
use std::path::Path;

#[test]
fn seeds_of_layer_merge() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/layer_merge");
    let mut count = 0;
    for seed in fs::read_dir(seeds).unwrap() {
        let path = seed.unwrap().path();
        let merged = layer_merge::check(&fs::read(&path).unwrap());
        let good = path.file_name().unwrap().to_string_lossy().starts_with("good-");
        assert_eq!(merged, good, "{}", path.display());
        count += 1;
    }
    assert!(count >= 12, "only {count} seeds");
}
