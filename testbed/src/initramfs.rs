//! The initramfs of a guest: vxn-init, the few kernel modules that it may
//! load, and nothing else.
//!
//! It is a cpio archive in the "newc" format (linux,
//! Documentation/driver-api/early-userspace/buffer-format.rst), uncompressed,
//! because a guest starts faster so, and the same bytes for the same input.
//!
//! ```text
//! /init            vxn-init
//! /dev/console     what init has as stdin, stdout and stderr
//! /modules/list    a line per module: its name and the modules it needs
//! /modules/*.ko    the modules, decompressed
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{Read, Write},
    path::Path,
};

use anyhow::{Context, Result, bail};

/// The modules that vxn-init may ask for, by their names in the kernel. What is
/// not a module of the given kernel is taken to be built in.
const WANTED: [&str; 11] = [
    "xen_blkfront",
    "xen_evtchn",
    "xen_gntdev",
    "xen_netfront",
    "overlay",
    "squashfs",
    "erofs",
    "ext4",
    "crc32c_generic",
    "9pnet_fd",
    "9p",
];

/// What a module needs at run time and modules.dep does not tell: a checksum
/// that it asks the crypto layer for by name.
const SOFT_NEEDS: [(&str, &str); 2] = [("ext4", "crc32c_generic"), ("libcrc32c", "crc32c_generic")];

/// `S_IFDIR`, `S_IFREG` and `S_IFCHR` with the permissions that we give.
const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;
const CONSOLE: u32 = 0o020_600;

/// Writes the initramfs for the kernel whose modules are in `modules_root`
/// (`…/lib/modules/RELEASE`), or for a kernel without modules.
///
/// # Errors
/// Names the file that could not be read, understood or written.
pub fn build(init: &Path, modules_root: Option<&Path>, out: &Path) -> Result<()> {
    let mut archive = Archive::default();
    archive.entry("dev", DIRECTORY, &[])?;
    archive.console();
    archive.entry("init", PROGRAM, &read(init)?)?;
    archive.entry("modules", DIRECTORY, &[])?;
    let mut list = String::new();
    if let Some(root) = modules_root {
        for module in in_order(&dependencies(root)?) {
            list.push_str(&module.line());
            let contents = decompress(&root.join(&module.path))?;
            archive.entry(&format!("modules/{}.ko", module.name), FILE, &contents)?;
        }
    }
    archive.entry("modules/list", FILE, list.as_bytes())?;
    write(out, &archive.finish()?)
}

/// A module and those it needs at once.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Module {
    name: String,
    /// Below the modules' root.
    path: String,
    needs: Vec<String>,
}

impl Module {
    fn line(&self) -> String {
        let mut names = vec![self.name.clone()];
        names.extend(self.needs.clone());
        names.join(" ") + "\n"
    }
}

/// Reads modules.dep (modules.dep(5)): `path: path …`, all below the root.
fn dependencies(root: &Path) -> Result<BTreeMap<String, Module>> {
    let path = root.join("modules.dep");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut modules = BTreeMap::new();
    for line in text.lines() {
        let (path, needs) = line.split_once(':').with_context(|| format!("strange line {line}"))?;
        let name = module_name(path);
        let needs = needs.split_whitespace().map(module_name).collect();
        modules.insert(name.clone(), Module { name, path: path.to_owned(), needs });
    }
    for (module, need) in SOFT_NEEDS {
        let known = modules.contains_key(need);
        if let Some(module) = modules.get_mut(module).filter(|_| known) {
            module.needs.push(need.to_owned());
        }
    }
    Ok(modules)
}

/// The kernel's name of a module file: no directory, no ending, `_` for `-`.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

/// The wanted modules and all they need, each after those.
fn in_order(all: &BTreeMap<String, Module>) -> Vec<Module> {
    let mut ordered = Vec::new();
    let mut seen = BTreeSet::new();
    for name in WANTED {
        visit(name, all, &mut seen, &mut ordered);
    }
    ordered
}

fn visit(
    name: &str,
    all: &BTreeMap<String, Module>,
    seen: &mut BTreeSet<String>,
    ordered: &mut Vec<Module>,
) {
    let Some(module) = all.get(name) else { return };
    if seen.insert(name.to_owned()) {
        for need in &module.needs {
            visit(need, all, seen, ordered);
        }
        ordered.push(module.clone());
    }
}

/// Reads a module, decompressed: newer Debian kernels come with `.ko.xz`.
fn decompress(path: &Path) -> Result<Vec<u8>> {
    let raw = read(path)?;
    let mut contents = Vec::new();
    let unpacked = match path.extension().and_then(|ending| ending.to_str()) {
        Some("ko") => return Ok(raw),
        Some("xz") => {
            lzma_rust2::XzReader::new(raw.as_slice(), true).read_to_end(&mut contents).map(drop)
        }
        Some("zst") => zstd::stream::copy_decode(raw.as_slice(), &mut contents),
        Some("gz") => {
            flate2::read::GzDecoder::new(raw.as_slice()).read_to_end(&mut contents).map(drop)
        }
        _ => bail!("{} has an ending that no module has", path.display()),
    };
    unpacked.with_context(|| format!("cannot decompress {}", path.display()))?;
    Ok(contents)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Replaces `out` at once, so that nobody sees half of it.
fn write(out: &Path, contents: &[u8]) -> Result<()> {
    let dir = out.parent().unwrap_or(Path::new("."));
    let replace = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(contents)?;
        file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.persist(out)?;
        Ok(())
    };
    replace().with_context(|| format!("cannot write {}", out.display()))
}

/// A "newc" archive in the making. Owner and time of everything are 0.
#[derive(Debug, Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// Adds a file or a directory.
    fn entry(&mut self, name: &str, mode: u32, contents: &[u8]) -> Result<()> {
        let size = u32::try_from(contents.len())
            .with_context(|| format!("{name} is too large for an initramfs"))?;
        self.header(name, mode, size, (0, 0));
        self.bytes.extend_from_slice(contents);
        self.pad();
        Ok(())
    }

    /// Adds the kernel console, character device 5:1.
    fn console(&mut self) {
        self.header("dev/console", CONSOLE, 0, (5, 1));
    }

    fn header(&mut self, name: &str, mode: u32, size: u32, device: (u32, u32)) {
        self.entries += 1;
        let inode = self.entries;
        let links = if mode == DIRECTORY { 2 } else { 1 };
        let name_size = name.len() as u32 + 1;
        let (major, minor) = device;
        self.bytes.extend_from_slice(b"070701");
        // uid, gid, links, time, size, device of the archive, device of the
        // node, length of the name, checksum
        for field in [inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0] {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        self.entry("TRAILER!!!", 0, &[])?;
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/jbd2/jbd2.ko\n\
        kernel/fs/jbd2/jbd2.ko: kernel/lib/crc16.ko\n\
        kernel/lib/crc16.ko:\n\
        kernel/crypto/crc32c_generic.ko:\n\
        kernel/drivers/block/xen-blkfront.ko:\n\
        kernel/drivers/other.ko: kernel/lib/crc16.ko\n";

    fn tree(dir: &Path) {
        fs::write(dir.join("modules.dep"), DEP).unwrap();
        fs::write(dir.join("init"), "the init").unwrap();
        for line in DEP.lines() {
            let path = dir.join(line.split(':').next().unwrap());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, path.file_name().unwrap().as_encoded_bytes()).unwrap();
        }
    }

    /// Names, modes and contents of an archive.
    fn list(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        loop {
            assert_eq!(&bytes[..6], b"070701");
            let field = |n: usize| {
                let text = std::str::from_utf8(&bytes[6 + 8 * n..][..8]).unwrap();
                u32::from_str_radix(text, 16).unwrap() as usize
            };
            let (mode, size, name_size) = (field(1), field(6), field(11));
            let name = String::from_utf8(bytes[110..][..name_size - 1].to_vec()).unwrap();
            let start = (110 + name_size).next_multiple_of(4);
            let contents = bytes[start..][..size].to_vec();
            bytes = &bytes[(start + size).next_multiple_of(4)..];
            if name == "TRAILER!!!" {
                assert!(bytes.is_empty());
                return entries;
            }
            entries.push((name, mode as u32, contents));
        }
    }

    #[test]
    fn modules_come_after_those_they_need() {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path());
        let out = dir.path().join("out.cpio");
        build(&dir.path().join("init"), Some(dir.path()), &out).unwrap();
        let entries = list(&fs::read(&out).unwrap());
        let names: Vec<&str> = entries.iter().map(|(name, _, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "dev",
                "dev/console",
                "init",
                "modules",
                "modules/xen_blkfront.ko",
                "modules/crc16.ko",
                "modules/jbd2.ko",
                "modules/crc32c_generic.ko",
                "modules/ext4.ko",
                "modules/list",
            ]
        );
        assert_eq!(entries[2], ("init".into(), PROGRAM, b"the init".to_vec()));
        let modules = String::from_utf8(entries[9].2.clone()).unwrap();
        assert_eq!(
            modules,
            "xen_blkfront\ncrc16\njbd2 crc16\ncrc32c_generic\next4 crc16 jbd2 crc32c_generic\n"
        );
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path());
        let init = dir.path().join("init");
        let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
        build(&init, Some(dir.path()), &one).unwrap();
        build(&init, Some(dir.path()), &two).unwrap();
        assert_eq!(fs::read(one).unwrap(), fs::read(two).unwrap());
    }

    #[test]
    fn a_kernel_may_have_no_modules() {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path());
        let out = dir.path().join("out");
        build(&dir.path().join("init"), None, &out).unwrap();
        assert_eq!(list(&fs::read(out).unwrap()).len(), 5);
    }

    #[test]
    fn compressed_modules_are_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let zst = dir.path().join("x.ko.zst");
        fs::write(&zst, zstd::encode_all(&b"module"[..], 1).unwrap()).unwrap();
        assert_eq!(decompress(&zst).unwrap(), b"module");
        let bad = dir.path().join("x.ko.xz");
        fs::write(&bad, "no xz").unwrap();
        assert!(decompress(&bad).unwrap_err().to_string().contains("x.ko.xz"));
        assert!(decompress(&dir.path().join("init")).is_err());
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = build(Path::new("/nonexistent/init"), None, &dir.path().join("out"));
        assert!(format!("{:#}", error.unwrap_err()).contains("/nonexistent/init"));
    }
}
