//! The decoder of frames to the host; seeds in `seeds/to_host`.

#![no_main]

#[path = "../../vxn-proto/tests/check/mod.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check::<vxn_proto::ToHost>(bytes));
