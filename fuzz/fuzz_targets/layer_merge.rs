//! The merger of layers; seeds in `seeds/layer_merge`.

#![no_main]

#[path = "../../tests/layer_merge/mod.rs"]
mod layer_merge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    layer_merge::check(bytes);
});
