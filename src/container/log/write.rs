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

    /// Writes down what came on an output. A file ends with the last line that
    /// fits: short lines grow to twenty times what came.
    pub fn write(&mut self, kind: StreamKind, bytes: &[u8]) -> io::Result<()> {
        let head = format!("{:.9} {} ", Timestamp::now(), word(kind));
        // After a failure, what could not be written is given up.
        self.buffer.clear();
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            let whole = line.last() == Some(&b'\n');
            let start = self.buffer.len();
            self.buffer.extend_from_slice(head.as_bytes());
            self.buffer.extend_from_slice(if whole { b"F " } else { b"P " });
            self.buffer.extend_from_slice(line);
            if !whole {
                self.buffer.push(b'\n');
            }
            let full = |most| self.size + self.buffer.len() as u64 > most;
            if self.size + start as u64 > 0 && self.max_size.is_some_and(full) {
                self.flush(start)?;
                self.rotate()?;
            }
        }
        self.flush(self.buffer.len())
    }

    /// Hands the first `length` bytes of the buffer to the file.
    fn flush(&mut self, length: usize) -> io::Result<()> {
        self.file.write_all(&self.buffer[..length])?;
        self.size += length as u64;
        self.buffer.drain(..length);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_is_larger_than_it_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions::Local { max_size: Some(1000), max_file: 3 };
        let mut log = Writer::open(dir.path(), options).unwrap().unwrap();
        log.write(StreamKind::Stdout, "y\n".repeat(1000).as_bytes()).unwrap();
        log.write(StreamKind::Stderr, b"the last\n").unwrap();
        let sizes: Vec<u64> =
            (0..3).map(|age| fs::metadata(file(dir.path(), age)).unwrap().len()).collect();
        assert!(sizes.iter().all(|size| (1..=1000).contains(size)), "{sizes:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
        assert!(fs::read(file(dir.path(), 0)).unwrap().ends_with(b" stderr F the last\n"));

        // A line is never cut, and needs a file of its own at most.
        log.write(StreamKind::Stdout, &[b'x'; 2000]).unwrap();
        assert!(fs::metadata(file(dir.path(), 0)).unwrap().len() > 2000);
        assert!(fs::read(file(dir.path(), 1)).unwrap().ends_with(b" the last\n"));
    }
}
