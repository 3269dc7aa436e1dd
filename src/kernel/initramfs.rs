//! Reads a file out of an initramfs: a cpio archive in the "newc" format (Linux,
//! Documentation/driver-api/early-userspace/buffer-format.rst), uncompressed, as ours are.

use std::io::{self, Read, Seek, SeekFrom};

/// The largest file that is read, in bytes: more than any module has.
const MAX_FILE: u64 = 64 << 20;
/// Linux's `PATH_MAX`.
const MAX_NAME: u64 = 4096;
const HEADER: u64 = 110;

/// The content of the file `name`, if the archive has it.
///
/// # Errors
/// The archive is no such archive, or is damaged; the system's.
pub(super) fn file(archive: &mut (impl Read + Seek), name: &str) -> io::Result<Option<Vec<u8>>> {
    loop {
        let mut header = [0; HEADER as usize];
        archive.read_exact(&mut header)?;
        if !header.starts_with(b"070701") && !header.starts_with(b"070702") {
            return Err(damaged("no newc archive"));
        }
        let (size, name_size) = (field(&header, 6)?, field(&header, 11)?);
        if name_size > MAX_NAME {
            return Err(damaged("a name is too long"));
        }
        let found = bytes(archive, name_size)?;
        skip(archive, padding(HEADER + name_size))?;
        let found = found.strip_suffix(b"\0").unwrap_or(&found);
        if found == b"TRAILER!!!" {
            return Ok(None);
        }
        if found == name.as_bytes() {
            if size > MAX_FILE {
                return Err(damaged("a file is too large"));
            }
            return bytes(archive, size).map(Some);
        }
        skip(archive, size + padding(size))?;
    }
}

/// Field `number` of a header: eight hexadecimal digits.
fn field(header: &[u8; HEADER as usize], number: usize) -> io::Result<u64> {
    let digits = &header[6 + 8 * number..][..8];
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| damaged("a number is none"))
}

fn bytes(archive: &mut impl Read, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    archive.take(count).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == count { Ok(bytes) } else { Err(damaged("it is cut off")) }
}

/// At most 2^33, which an `i64` holds.
fn skip(archive: &mut impl Seek, count: u64) -> io::Result<()> {
    archive.seek(SeekFrom::Current(count as i64)).map(drop)
}

/// Everything begins at a multiple of four.
fn padding(length: u64) -> u64 {
    length.next_multiple_of(4) - length
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// An archive of these files.
#[cfg(test)]
pub(super) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, data) in files.iter().chain([&("TRAILER!!!", &[][..])]) {
        let mut fields = [0; 13];
        (fields[6], fields[11]) = (data.len(), name.len() + 1);
        out.extend_from_slice(b"070701");
        fields.iter().for_each(|field| out.extend_from_slice(format!("{field:08X}").as_bytes()));
        for part in [[name.as_bytes(), b"\0"].concat(), data.to_vec()] {
            out.extend_from_slice(&part);
            out.resize(out.len().next_multiple_of(4), 0);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn files_are_found_behind_others() {
        let bytes = archive(&[("init", b"12345"), ("modules/list", b"erofs\n"), ("x", b"")]);
        let look = |name| file(&mut Cursor::new(&bytes), name).unwrap();
        assert_eq!(look("modules/list").unwrap(), b"erofs\n");
        assert_eq!(look("init").unwrap(), b"12345");
        assert_eq!(look("x").unwrap(), b"");
        assert_eq!(look("y"), None);
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = archive(&[("init", b"12345"), ("list", b"erofs\n")]);
        for cut in [0, 50, 112, 118, 200, 240] {
            assert!(file(&mut Cursor::new(&bytes[..cut]), "list").is_err(), "{cut}");
        }
        assert!(file(&mut Cursor::new(b"\x1f\x8b".repeat(100)), "list").is_err());
        let mut long = bytes.clone();
        long[6 + 8 * 11..][..8].copy_from_slice(b"FFFFFFFF");
        assert!(file(&mut Cursor::new(&long), "list").is_err());
    }
}
