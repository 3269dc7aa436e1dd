//! The packed kernels under `fixtures/` were made with the real tools, in the
//! way that Linux's `scripts/Makefile.lib` calls them, from what [`vmlinux`]
//! returns: `fixtures/README.md` has the commands.

use std::fs;
use std::path::Path;

use super::*;

const XZ: &[u8] = include_bytes!("fixtures/vmlinux.xz");
const PACKED: [(&str, &[u8]); 6] = [
    ("gzip", include_bytes!("fixtures/vmlinux.gz")),
    ("xz", XZ),
    ("zstd", include_bytes!("fixtures/vmlinux.zst")),
    ("lz4", include_bytes!("fixtures/vmlinux.lz4")),
    ("bzip2", include_bytes!("fixtures/vmlinux.bz2")),
    ("lzma", include_bytes!("fixtures/vmlinux.lzma")),
];

/// A 64-bit ELF image with Xen's PV and PVH notes, and behind them `calls` x86
/// call instructions, which is what xz's BCJ filter rewrites.
fn vmlinux(notes: &[u32], calls: u32) -> Vec<u8> {
    let mut body = Vec::new();
    for kind in notes {
        for word in [4u32, 8, *kind] {
            body.extend(word.to_le_bytes());
        }
        body.extend(b"Xen\0");
        body.extend(0xffff_ffff_8100_0000u64.to_le_bytes());
    }
    let size = body.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01".to_vec();
    elf.resize(16, 0);
    elf.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [0x100_0000u64, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    for half in [0u16, 0, 64, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend([4, 0, 0, 0, 4, 0, 0, 0]);
    for word in [120u64, 0, 0, size, size, 4] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(body);
    for n in 0..calls {
        let target = n.wrapping_mul(2_654_435_761) >> 28 << 8;
        elf.push(0xe8);
        elf.extend(target.wrapping_sub(elf.len() as u32 + 4).to_le_bytes());
        elf.extend(b"\x48\x89\xc7");
    }
    elf
}

fn kernel() -> Vec<u8> {
    vmlinux(&[1, 18], 6000)
}

/// A bzImage around `payload`.
fn bzimage(payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 1024];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x020fu16.to_le_bytes());
    image[0x248..0x24c].copy_from_slice(&16u32.to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image.resize(1024 + 16, 0x90);
    image.extend(payload);
    image.resize(image.len() + 300, 0);
    image
}

/// The payload as the kernel's build makes it: gzip knows its size, others get it appended.
fn payload(format: &str, packed: &[u8]) -> Vec<u8> {
    let mut payload = packed.to_vec();
    if format != "gzip" {
        payload.extend((kernel().len() as u32).to_le_bytes());
    }
    payload
}

struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Room {
        Room(tempfile::tempdir().unwrap())
    }

    fn file(&self, bytes: &[u8]) -> std::path::PathBuf {
        let path = self.0.path().join("source");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn prepare(&self, source: &Path) -> Result<KernelInfo> {
        prepare(source, &self.0.path().join("kernels"), &self.0.path().join("tmp"))
    }

    fn refusal(&self, bytes: &[u8]) -> String {
        let error = self.prepare(&self.file(bytes)).unwrap_err().to_string();
        let kept = fs::read_dir(self.0.path().join("kernels")).into_iter().flatten();
        let kept: Vec<_> = kept.map(|e| e.unwrap().file_name()).collect();
        assert!(kept.iter().all(|name| name == ".lock"), "{error}: {kept:?} is left");
        error
    }
}

#[test]
fn each_compression_of_a_bzimage_gives_the_same_vmlinux() {
    for (format, packed) in PACKED {
        let room = Room::new();
        let source = room.file(&bzimage(&payload(format, packed)));
        let info = room.prepare(&source).unwrap();
        assert_eq!(fs::read(&info.path).unwrap(), kernel(), "{format}");
        assert!(info.pv && info.pvh, "{format}");
        assert_eq!(room.prepare(&source).unwrap(), info, "{format}, from the cache");
    }
}

#[test]
fn a_packed_vmlinux_needs_no_bzimage_around_it() {
    for (format, packed) in PACKED {
        let room = Room::new();
        let info = room.prepare(&room.file(packed)).unwrap();
        assert_eq!(fs::read(&info.path).unwrap(), kernel(), "{format}");
    }
}

#[test]
fn an_uncompressed_kernel_is_used_where_it_is() {
    let room = Room::new();
    let source = room.file(&vmlinux(&[18], 0));
    let info = room.prepare(&source).unwrap();
    assert_eq!(info, KernelInfo { path: source.canonicalize().unwrap(), pv: false, pvh: true });
    assert!(!room.0.path().join("kernels").exists());

    let mut image = vec![0; 64];
    image[0x38..0x3c].copy_from_slice(b"ARM\x64");
    let source = room.file(&image);
    let info = room.prepare(&source).unwrap();
    assert_eq!(info, KernelInfo { path: source.canonicalize().unwrap(), pv: false, pvh: true });
}

#[test]
fn a_changed_source_is_not_mistaken_for_the_old_one() {
    let room = Room::new();
    let gzip = room.prepare(&room.file(PACKED[0].1)).unwrap();
    let xz = room.prepare(&room.file(PACKED[1].1)).unwrap();
    assert_ne!(gzip.path, xz.path);
}

#[test]
fn a_lost_cache_is_made_again() {
    let room = Room::new();
    let source = room.file(XZ);
    let info = room.prepare(&source).unwrap();
    fs::remove_file(&info.path).unwrap();
    assert_eq!(room.prepare(&source).unwrap(), info);
    assert_eq!(fs::read(&info.path).unwrap(), kernel());
}

#[test]
fn threads_that_prepare_one_kernel_at_once_all_get_it() {
    let room = Room::new();
    let source = room.file(&bzimage(&payload("xz", XZ)));
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| room.prepare(&source))).collect();
        for info in all {
            assert_eq!(fs::read(info.join().unwrap().unwrap().path).unwrap(), kernel());
        }
    });
    assert_eq!(fs::read_dir(room.0.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn files_that_are_no_kernel_are_refused_by_name() {
    let room = Room::new();
    assert!(room.refusal(b"").ends_with(
        "/source: not a kernel (a bzImage, an ELF vmlinux or an arm64 Image, compressed or not)"
    ));
    assert!(room.refusal(b"#!/bin/sh\n").contains("not a kernel"));
    assert!(room.refusal(&vmlinux(&[], 10)).contains("no Xen ELF notes"));
    assert!(room.refusal(b"\x89LZO\0\r\n").contains("lzo compression"));
    assert!(room.refusal(b"MZ\0\0zimg").contains("EFI zboot"));
    assert!(room.refusal(b"\x7fELF").contains("corrupt kernel"));
    let missing = room.prepare(Path::new("/no/such/kernel")).unwrap_err().to_string();
    assert_eq!(missing, "cannot read /no/such/kernel: No such file or directory (os error 2)");
}

#[test]
fn corrupt_payloads_are_errors_and_leave_nothing() {
    for (format, packed) in PACKED {
        let room = Room::new();
        let whole = payload(format, packed);
        let mut flipped = whole.clone();
        flipped[packed.len() / 2] ^= 0x55;
        let mut resized = whole.clone();
        *resized.last_mut().unwrap() ^= 1;
        let half = &packed[..packed.len() / 2];
        let mut hostile = vec![bzimage(&resized), half.to_vec()];
        // lz4's legacy frame and lzma have no checksum.
        if !["lz4", "lzma"].contains(&format) {
            hostile.push(bzimage(&flipped));
        }
        for bytes in hostile {
            let error = room.refusal(&bytes);
            assert!(error.contains("corrupt kernel"), "{format}: {error}");
        }
    }
}

#[test]
fn unpacking_ends_at_the_limit() {
    let room = Room::new();
    let path = room.file(PACKED[0].1);
    let file = File::open(&path).unwrap();
    let Shape::Packed(packed) = format::recognise(&file, &path).unwrap() else { panic!() };
    let size = kernel().len() as u64;
    let mut out = Vec::new();
    unpack::unpack(&file, &packed, &path, &mut out, size).unwrap();
    let error = unpack::unpack(&file, &packed, &path, &mut io::sink(), size - 1).unwrap_err();
    assert!(matches!(error, Error::TooBig(_)), "{error}");
}

#[test]
fn a_setup_header_that_points_outside_the_file_is_refused() {
    let room = Room::new();
    let mut image = bzimage(PACKED[0].1);
    image[0x248..0x24c].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(room.refusal(&image).contains("outside the file"));
    image.truncate(0x210);
    assert!(room.refusal(&image).contains("cut off"));
}

/// Debian's kernel, where this machine has one: the build's own bzImage.
#[test]
fn the_kernel_of_this_machine() {
    let named = std::env::var_os("VXN_TEST_KERNEL").map(std::path::PathBuf::from);
    let boot = fs::read_dir("/boot").into_iter().flatten().flatten().map(|e| e.path());
    let is_kernel = |p: &std::path::PathBuf| p.to_string_lossy().starts_with("/boot/vmlinuz-");
    let Some(kernel) = named.or_else(|| boot.filter(is_kernel).max()) else {
        eprintln!("SKIPPED: the_kernel_of_this_machine: no /boot/vmlinuz-*, no VXN_TEST_KERNEL");
        return;
    };
    let room = Room::new();
    let info = room.prepare(&kernel).unwrap();
    assert!(info.pv || info.pvh);
    assert!(fs::read(&info.path).unwrap().starts_with(b"\x7fELF"));
    let again = std::time::Instant::now();
    assert_eq!(room.prepare(&kernel).unwrap(), info);
    assert!(again.elapsed().as_millis() < 50, "the cache was not used");
}

proptest::proptest! {
    #[test]
    fn no_input_panics(
        which in 0..6usize,
        at in 0..4096usize,
        byte: u8,
        cut in 0..4096usize,
        wrap: bool,
    ) {
        let (format, packed) = PACKED[which];
        let mut bytes = payload(format, packed);
        let len = bytes.len();
        bytes[at % len] = byte;
        bytes.truncate(len - cut % len);
        let room = Room::new();
        let _ = room.prepare(&room.file(&if wrap { bzimage(&bytes) } else { bytes }));
    }

    #[test]
    fn no_elf_header_panics(bytes: Vec<u8>, at in 4..120usize, byte: u8) {
        let mut elf = vmlinux(&[1], 0);
        elf[at] = byte;
        elf.extend(bytes);
        let room = Room::new();
        let _ = room.prepare(&room.file(&elf));
    }
}

#[test]
fn a_bzimage_says_its_release() {
    let room = Room::new();
    let mut image = bzimage(b"payload");
    let at = image.len() as u16 - 200;
    image[0x20e..0x210].copy_from_slice(&(at - 0x200).to_le_bytes());
    image[usize::from(at)..][..14].copy_from_slice(b"6.1.0-9 (x@y)\0");
    let release = |bytes: &[u8]| format::release(&File::open(room.file(bytes)).unwrap()).unwrap();
    assert_eq!(release(&image).as_deref(), Some("6.1.0-9"));
    assert_eq!(release(b"\x7fELF"), None);
    image[0x20e..0x210].fill(0);
    assert_eq!(release(&image), None);
}
