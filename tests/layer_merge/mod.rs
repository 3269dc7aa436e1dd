//! What must hold for any bytes that are given to the merger as layers. Shared
//! by the fuzz target and the test of its seeds.

use vxn::image::merge::{Limits, merge};

/// Small enough that no input is slow.
const LIMITS: Limits = Limits { unpacked: 1 << 20, entries: 10_000, names: 1 << 20 };

/// Merges the layers in `bytes`. What is merged and not refused is a layer
/// itself, and merging it alone changes nothing. Returns whether it was merged.
pub fn check(bytes: &[u8]) -> bool {
    let mut once = Vec::new();
    if merge(&layers(bytes)[..], &LIMITS, &mut once, &mut |_| {}).is_err() {
        return false;
    }
    let mut twice = Vec::new();
    // Implied directories and extended headers can take it over the limits.
    merge(&[&once][..], &Limits::default(), &mut twice, &mut |_| {}).expect("a merged layer");
    assert!(once == twice, "merging is not stable");
    true
}

/// Each layer but the last is preceded by its length: four bytes, the least
/// significant first, in blocks of 512 bytes. The last is preceded by zeros.
fn layers(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut layers = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(0).saturating_mul(512);
        if length == 0 || length >= rest.len() {
            layers.push(rest);
            break;
        }
        let (layer, rest) = rest.split_at(length);
        layers.push(layer);
        bytes = rest;
    }
    layers
}
