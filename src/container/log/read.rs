//! Reading a log, also while it grows.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use vxn_proto::StreamKind;

use super::file;
use super::tail::{Numbers, Tail};
use crate::state::rotated::Lines;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the log {}: {source}", path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// A line, or as much of it as came at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was written.
    pub time: Timestamp,
    /// Where it was written.
    pub stream: StreamKind,
    /// The bytes, with the end of the line if it has come.
    pub bytes: Vec<u8>,
}

/// Which lines are wanted.
#[derive(Debug, Default, Clone, Copy)]
pub struct Selection {
    /// Only so many of the last ones.
    pub tail: Option<usize>,
    /// None that are older.
    pub since: Option<Timestamp>,
    /// None that are younger.
    pub until: Option<Timestamp>,
}

impl Selection {
    fn holds(&self, entry: &Entry) -> bool {
        self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time <= until)
    }
}

/// Reads a log from its oldest file to its newest.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    lines: Lines,
}

impl Reader {
    /// Starts with the oldest file in `dir`.
    pub fn open(dir: &Path) -> Result<Reader, Error> {
        let path = file(dir, 0);
        let lines = Lines::open(&path).map_err(|source| Error { path, source })?;
        Ok(Reader { dir: dir.to_owned(), lines })
    }

    /// Gives every entry that `selection` wants to `each`, as far as the log goes.
    pub fn read(
        &mut self,
        selection: &Selection,
        each: &mut dyn FnMut(Entry) -> io::Result<()>,
    ) -> Result<(), Error> {
        let tail = match selection.tail {
            Some(most) => Some(Tail::find(&mut Reader::open(&self.dir)?, selection, most)?),
            None => None,
        };
        let mut numbers = Numbers::default();
        self.run(selection, &mut |entry| {
            let number = numbers.of(&entry);
            if tail.as_ref().is_none_or(|tail| tail.holds(number)) { each(entry) } else { Ok(()) }
        })
    }

    pub(super) fn run(
        &mut self,
        selection: &Selection,
        each: &mut dyn FnMut(Entry) -> io::Result<()>,
    ) -> Result<(), Error> {
        while let Some(entry) = self.next()? {
            if selection.holds(&entry) {
                each(entry).map_err(|source| Error { path: "standard output".into(), source })?;
            }
        }
        Ok(())
    }

    /// The next entry that is whole. A power cut can leave anything at the end of a
    /// file; it is passed over.
    fn next(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            let line = self.lines.next_line();
            match line.map_err(|source| Error { path: self.dir.clone(), source })? {
                None => return Ok(None),
                Some(line) => {
                    if let Some(entry) = parse(&line) {
                        return Ok(Some(entry));
                    }
                }
            }
        }
    }
}

/// `TIME STREAM F|P BYTES`.
fn parse(line: &[u8]) -> Option<Entry> {
    let mut words = line.splitn(4, |&b| b == b' ');
    let time = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let stream = match words.next()? {
        b"stdout" => StreamKind::Stdout,
        b"stderr" => StreamKind::Stderr,
        _ => return None,
    };
    let whole = words.next()? == b"F";
    let mut bytes = words.next()?.to_vec();
    if !whole {
        bytes.pop();
    }
    Some(Entry { time, stream, bytes })
}

/// Waits for a log to grow, and for its container to end.
#[derive(Debug)]
pub struct Follow {
    inotify: Inotify,
    live: PathBuf,
}

impl Follow {
    /// Watches the log in `dir` and `live`, the directory that the container's
    /// monitor has for as long as it lives.
    pub fn new(dir: &Path, live: &Path) -> nix::Result<Follow> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC)?;
        let growing = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE;
        inotify.add_watch(dir, growing | AddWatchFlags::IN_MOVED_FROM)?;
        match inotify.add_watch(live, AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_DELETE) {
            // It has ended already.
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(e) => return Err(e),
        }
        Ok(Follow { inotify, live: live.to_owned() })
    }

    /// Whether the container still has a monitor. Ask before reading on: what it
    /// wrote before its end is read then.
    pub fn alive(&self) -> bool {
        self.live.exists()
    }

    /// Waits until something has changed.
    pub fn wait(&self) -> nix::Result<()> {
        match self.inotify.read_events() {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Readable when something has changed.
    pub fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogOptions, Writer};
    use super::*;

    fn writer(dir: &Path, max_size: Option<u64>, max_file: u32) -> Writer {
        Writer::open(dir, LogOptions::Local { max_size, max_file }).unwrap().unwrap()
    }

    fn texts(dir: &Path, selection: &Selection) -> Vec<(StreamKind, Vec<u8>)> {
        let mut found = Vec::new();
        let mut each = |entry: Entry| {
            found.push((entry.stream, entry.bytes));
            Ok(())
        };
        Reader::open(dir).unwrap().read(selection, &mut each).unwrap();
        found
    }

    #[test]
    fn bytes_come_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path(), None, 1);
        log.write(StreamKind::Stdout, b"one\n\ntwo").unwrap();
        log.write(StreamKind::Stderr, b"\xff\0err\n").unwrap();
        log.write(StreamKind::Stdout, b" more\n").unwrap();
        let (out, err) = (StreamKind::Stdout, StreamKind::Stderr);
        let expected: [(StreamKind, &[u8]); 5] = [
            (out, b"one\n"),
            (out, b"\n"),
            (out, b"two"),
            (err, b"\xff\0err\n"),
            (out, b" more\n"),
        ];
        let all = texts(dir.path(), &Selection::default());
        assert_eq!(all, expected.map(|(kind, bytes)| (kind, bytes.to_vec())));
        let tail = Selection { tail: Some(1), ..Selection::default() };
        assert_eq!(
            texts(dir.path(), &tail),
            [(out, b"two".to_vec()), (out, b" more\n".to_vec())],
            "a line is whole whatever the other stream says meanwhile"
        );
        let tail = Selection { tail: Some(2), ..Selection::default() };
        assert_eq!(texts(dir.path(), &tail).len(), 3);
        let none = Selection { tail: Some(0), ..Selection::default() };
        assert!(texts(dir.path(), &none).is_empty());
        let future = Timestamp::now() + std::time::Duration::from_secs(60);
        let since = Selection { since: Some(future), ..Selection::default() };
        assert!(texts(dir.path(), &since).is_empty());
        let until = Selection { until: Some(future), ..Selection::default() };
        assert_eq!(texts(dir.path(), &until).len(), 5);
    }

    #[test]
    fn old_files_go_and_the_rest_is_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path(), Some(200), 3);
        for n in 0..100 {
            log.write(StreamKind::Stdout, format!("line {n}\n").as_bytes()).unwrap();
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
        let lines = texts(dir.path(), &Selection::default());
        assert!(lines.len() < 20, "{}", lines.len());
        let last: Vec<Vec<u8>> =
            (100 - lines.len()..100).map(|n| format!("line {n}\n").into_bytes()).collect();
        assert_eq!(lines.into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>(), last);
    }

    #[test]
    fn a_reader_goes_on_where_the_log_grows_and_rotates() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path(), Some(150), 4);
        let mut reader = Reader::open(dir.path()).unwrap();
        let mut seen = Vec::new();
        for n in 0..30 {
            log.write(StreamKind::Stdout, format!("line {n}\n").as_bytes()).unwrap();
            let mut each = |entry: Entry| {
                seen.push(String::from_utf8(entry.bytes).unwrap());
                Ok(())
            };
            reader.read(&Selection::default(), &mut each).unwrap();
        }
        assert_eq!(seen, (0..30).map(|n| format!("line {n}\n")).collect::<Vec<_>>());
    }

    #[test]
    fn rubbish_is_passed_over() {
        assert_eq!(parse(b"\0\0\0\n"), None);
        assert_eq!(parse(b"2026-01-01T00:00:00Z stdout\n"), None);
        assert_eq!(parse(b"2026-01-01T00:00:00Z other F x\n"), None);
    }
}
