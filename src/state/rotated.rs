//! Lines of a file that grows and is rotated: `x.log` becomes `x.log.1` when it is full,
//! that one `x.log.2`, and the oldest goes.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// More files than anybody keeps.
const MAX_FILES: u32 = 1001;

/// The file that was `current`, `age` rotations ago.
pub fn file(current: &Path, age: u32) -> PathBuf {
    if age == 0 {
        return current.to_owned();
    }
    let mut name = current.as_os_str().to_owned();
    name.push(format!(".{age}"));
    name.into()
}

/// Reads lines from the oldest file to the newest.
#[derive(Debug)]
pub struct Lines {
    current: PathBuf,
    /// The file that is read now.
    file: Option<BufReader<File>>,
    /// The beginning of a line whose end was not written yet.
    partial: Vec<u8>,
}

impl Lines {
    /// Starts with the oldest of the files that were `current`; there may be none yet.
    pub fn open(current: &Path) -> io::Result<Lines> {
        let mut lines = Lines { current: current.to_owned(), file: None, partial: Vec::new() };
        lines.file = lines.oldest()?;
        Ok(lines)
    }

    /// The next line that is whole, with its end; `None` when there is none yet.
    pub fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut successor = None;
        loop {
            if self.file.is_none() {
                self.file = self.oldest()?;
            }
            let Some(reader) = &mut self.file else { return Ok(None) };
            reader.read_until(b'\n', &mut self.partial)?;
            if self.partial.ends_with(b"\n") {
                return Ok(Some(std::mem::take(&mut self.partial)));
            }
            // Once there is a successor nothing is added to this file any more, but
            // something may have been since it was read to its end: once more.
            if successor.is_some() {
                self.partial.clear();
                self.file = successor.take();
                continue;
            }
            successor = self.successor()?;
            if successor.is_none() {
                return Ok(None);
            }
        }
    }

    /// The file that was written after the one that is read now.
    fn successor(&self) -> io::Result<Option<BufReader<File>>> {
        let Some(reader) = &self.file else { return Ok(None) };
        let mine = Some(reader.get_ref().metadata()?.ino());
        loop {
            let age = (0..MAX_FILES).take_while(|&age| self.inode(age).is_some());
            match age.into_iter().find(|&age| self.inode(age) == mine) {
                Some(0) => return Ok(None),
                Some(age) => {
                    let next = self.open_file(age - 1)?;
                    // Unless all of them have moved on meanwhile.
                    if self.inode(age) == mine {
                        return Ok(next);
                    }
                }
                // It was rotated away under us: go on with the oldest that is left.
                None => return self.oldest(),
            }
        }
    }

    fn oldest(&self) -> io::Result<Option<BufReader<File>>> {
        match (0..MAX_FILES).take_while(|&age| self.inode(age).is_some()).last() {
            Some(age) => self.open_file(age),
            None => Ok(None),
        }
    }

    fn inode(&self, age: u32) -> Option<u64> {
        file(&self.current, age).metadata().map(|meta| meta.ino()).ok()
    }

    /// `None` for one that has just gone.
    fn open_file(&self, age: u32) -> io::Result<Option<BufReader<File>>> {
        match File::open(file(&self.current, age)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(BufReader::new).map(Some),
        }
    }
}
