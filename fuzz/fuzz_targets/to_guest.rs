//! The decoder of frames to the guest; seeds in `seeds/to_guest`.

#![no_main]

#[path = "../../vxn-proto/tests/check/mod.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check::check::<vxn_proto::ToGuest>(bytes));
