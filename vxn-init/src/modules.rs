//! Kernel modules from the initramfs, loaded when they are needed.
//!
//! `/modules/list` has a line per module: its name and those it needs, which
//! come earlier in the file. A kernel that has everything built in comes with
//! an empty list or none.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    kmod::{ModuleInitFlags, finit_module},
    sched::CloneFlags,
    sys::stat::Mode,
    unistd::pipe2,
};

use crate::{Error, Result, error::Context, sys};

/// The modules of this initramfs.
#[derive(Debug)]
pub struct Modules {
    /// The root of the initramfs, which stays in reach after the switch to
    /// another root.
    initramfs: OwnedFd,
    needs: BTreeMap<String, Vec<String>>,
    loaded: BTreeSet<String>,
}

impl Modules {
    /// Reads the list of the initramfs that is `/` now.
    pub fn open() -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let initramfs = nix::fcntl::open("/", flags, Mode::empty()).context("open /")?;
        let mut list = String::new();
        match openat(&initramfs, "modules/list", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        {
            Err(Errno::ENOENT) => {}
            file => {
                let read = file.map_err(io::Error::from).map(File::from);
                read.and_then(|mut file| file.read_to_string(&mut list))
                    .context("read /modules/list")?;
            }
        }
        Ok(Self { initramfs, needs: parse(&list), loaded: BTreeSet::new() })
    }

    /// Loads a driver in a process of its own, because it waits for its device.
    pub fn load_in_background(&mut self, name: &str) -> Result<Loading> {
        let (report, write) = pipe2(OFlag::O_CLOEXEC).context("create a pipe")?;
        let load = || match self.load(name) {
            Ok(()) => 0,
            Err(error) => {
                let _ = File::from(write).write_all(error.to_string().as_bytes());
                1
            }
        };
        sys::fork(CloneFlags::empty(), load).context(format_args!("load {name}"))?;
        Ok(Loading(report))
    }

    /// Loads a module after those it needs; one that is not in the list is
    /// part of the kernel.
    pub fn load(&mut self, name: &str) -> Result<()> {
        let Some(needs) = self.needs.get(name) else { return Ok(()) };
        if !self.loaded.insert(name.to_owned()) {
            return Ok(());
        }
        for need in needs.clone() {
            self.load(&need)?;
        }
        let path = format!("modules/{name}.ko");
        let what = format!("load {path}");
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let file = openat(&self.initramfs, path.as_str(), flags, Mode::empty()).context(&what)?;
        match finit_module(file, c"", ModuleInitFlags::empty()) {
            Err(Errno::EEXIST) => Ok(()),
            loaded => loaded.context(what),
        }
    }
}

/// A driver that is being loaded.
#[derive(Debug)]
pub struct Loading(OwnedFd);

impl Loading {
    /// What went wrong, once it is known: waits until the driver is loaded.
    pub fn finish(self) -> Result<()> {
        let mut report = String::new();
        File::from(self.0).read_to_string(&mut report).context("wait for a driver")?;
        if report.is_empty() { Ok(()) } else { Err(Error::Other(report)) }
    }
}

impl AsFd for Loading {
    /// Readable when the driver has been loaded or not.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn parse(list: &str) -> BTreeMap<String, Vec<String>> {
    list.lines()
        .filter_map(|line| {
            let mut names = line.split_whitespace().map(String::from);
            Some((names.next()?, names.collect()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_modules_and_what_they_need() {
        let needs = parse("crc16\nmbcache\n\njbd2\next4 jbd2 crc16 mbcache\n");
        assert_eq!(needs.len(), 4);
        assert_eq!(needs["ext4"], ["jbd2", "crc16", "mbcache"]);
        assert!(needs["crc16"].is_empty());
    }
}
