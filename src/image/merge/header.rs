//! The fields of one tar header, as strangers fill them.

use tar::Header;

use super::Refusal;

/// Tar's unit, in bytes.
pub const BLOCK: usize = 512;

/// What kind of entry, and what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Fifo,
    /// With its target.
    Symlink(Vec<u8>),
    /// With its target.
    HardLink(Vec<u8>),
    /// With major and minor number.
    Character(u32, u32),
    /// With major and minor number.
    Block(u32, u32),
}

/// What `header` introduces; `path` and `link` are its names, extended headers
/// applied.
pub fn kind(header: &Header, path: &[u8], link: Vec<u8>) -> Result<Kind, Refusal> {
    Ok(match header.as_old().linkflag[0] {
        // Archives older than POSIX mark a directory by its name.
        0 if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' => Kind::File,
        b'1' => Kind::HardLink(link),
        b'2' => Kind::Symlink(link),
        b'3' => device(header).map(|(major, minor)| Kind::Character(major, minor))?,
        b'4' => device(header).map(|(major, minor)| Kind::Block(major, minor))?,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        b'S' => return Err(Refusal::Sparse),
        other => return Err(Refusal::UnknownType(other)),
    })
}

/// Major and minor number as far as squashfs can hold them: 12 and 20 bits.
fn device(header: &Header) -> Result<(u32, u32), Refusal> {
    let bytes = header.as_bytes();
    let part = |field: &[u8], max: i64| {
        let number = number_in(field).filter(|n| (0..=max).contains(n));
        number.and_then(|n| u32::try_from(n).ok()).ok_or(Refusal::OutOfRange("device number"))
    };
    Ok((part(&bytes[329..337], 0xfff)?, part(&bytes[337..345], 0xf_ffff)?))
}

/// The size field.
pub fn size(header: &Header) -> Result<u64, Refusal> {
    in_range(number_in(&header.as_old().size).and_then(|n| u64::try_from(n).ok()))
}

/// A size that can be rounded up, and that Linux can have.
pub fn in_range(size: Option<u64>) -> Result<u64, Refusal> {
    size.filter(|&n| n <= (i64::MAX - BLOCK as i64) as u64).ok_or(Refusal::OutOfRange("size"))
}

/// A number of 32 bits; what an extended header says comes first.
pub fn owner_or_mode(field: &[u8], pax: Option<u64>, what: &'static str) -> Result<u32, Refusal> {
    let number = match pax {
        Some(number) => u32::try_from(number).ok(),
        None => number_in(field).and_then(|n| u32::try_from(n).ok()),
    };
    number.ok_or(Refusal::OutOfRange(what))
}

/// A number of a header: octal, or GNU's base 256 where the first bit is set.
pub fn number_in(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // Fields have at most 12 bytes: 95 bits fit.
        let sign = i128::from(first & 0x3f) - i128::from(first & 0x40);
        let number = rest.iter().fold(sign, |n, &byte| n * 256 + i128::from(byte));
        return i64::try_from(number).ok();
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches(['\0', ' ']);
    if text.is_empty() {
        return Some(0);
    }
    if text.starts_with('+') {
        return None;
    }
    i64::from_str_radix(text, 8).ok()
}

/// Sums as POSIX has it, or with signed bytes as some old tars had it.
pub fn checksum_matches(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let sum = |value: fn(u8) -> i64| -> i64 {
        let outside = bytes[..148].iter().chain(&bytes[156..]);
        outside.map(|&b| value(b)).sum::<i64>() + 8 * i64::from(b' ')
    };
    let stated = number_in(&header.as_old().cksum);
    stated == Some(sum(i64::from)) || stated == Some(sum(|b| i64::from(b as i8)))
}
