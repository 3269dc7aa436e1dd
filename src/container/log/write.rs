//! The monitor's end of the log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use vxn_proto::StreamKind;

use super::{LogOptions, file, word};

/// Appends to a container's log.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    max_size: Option<u64>,
    max_file: u32,
    file: File,
    size: u64,
    buffer: Vec<u8>,
}

impl Writer {
    /// Opens the log in `dir`; none when the options say so.
    pub fn open(dir: &Path, options: LogOptions) -> io::Result<Option<Writer>> {
        let LogOptions::Local { max_size, max_file } = options else { return Ok(None) };
        fs::create_dir_all(dir)?;
        let file = append(dir)?;
        let size = file.metadata()?.len();
        let (dir, buffer) = (dir.to_owned(), Vec::new());
        Ok(Some(Writer { dir, max_size, max_file, file, size, buffer }))
    }

    /// Writes down what came on an output.
    pub fn write(&mut self, kind: StreamKind, bytes: &[u8]) -> io::Result<()> {
        let head = format!("{:.9} {} ", Timestamp::now(), word(kind));
        self.buffer.clear();
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            let whole = line.last() == Some(&b'\n');
            self.buffer.extend_from_slice(head.as_bytes());
            self.buffer.extend_from_slice(if whole { b"F " } else { b"P " });
            self.buffer.extend_from_slice(line);
            if !whole {
                self.buffer.push(b'\n');
            }
        }
        if self.max_size.is_some_and(|most| self.size + self.buffer.len() as u64 > most) {
            self.rotate()?;
        }
        self.file.write_all(&self.buffer)?;
        self.size += self.buffer.len() as u64;
        Ok(())
    }

    /// Makes room for a new file, the oldest one goes.
    fn rotate(&mut self) -> io::Result<()> {
        for age in (0..self.max_file).rev() {
            let path = file(&self.dir, age);
            let moved = if age + 1 == self.max_file {
                fs::remove_file(&path)
            } else {
                fs::rename(&path, file(&self.dir, age + 1))
            };
            match moved {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        self.file = append(&self.dir)?;
        self.size = 0;
        Ok(())
    }
}

fn append(dir: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(file(dir, 0))
}
