//! The reader of domain configuration files; seeds in `seeds/xl_config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = vxn::cli::domain_config::parse("fuzz", bytes, &[]);
});
