//! The server of shared directories; seeds in `seeds/share`.

#![no_main]

#[path = "../../tests/share/mod.rs"]
mod share;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    share::check(bytes);
});
