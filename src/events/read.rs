//! Reading the journal, also while it grows.

use std::io;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::os::fd::AsFd;

use super::{Event, directory, file};
use crate::state::rotated::Lines;

/// Reads events from the oldest that is kept.
#[derive(Debug)]
pub struct Reader(Lines);

impl Reader {
    /// Starts with the oldest event below `root`.
    ///
    /// # Errors
    /// The system's.
    pub fn open(root: &Path) -> io::Result<Reader> {
        Lines::open(&file(root)).map(Reader)
    }

    /// The next event, `None` when there is none yet. What is no event is passed over:
    /// a power cut can leave anything.
    ///
    /// # Errors
    /// The system's.
    pub fn next_event(&mut self) -> io::Result<Option<Event>> {
        while let Some(line) = self.0.next_line()? {
            if let Ok(event) = serde_json::from_slice(&line) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}

/// Waits for the journal to grow.
#[derive(Debug)]
pub struct Follow(Inotify);

impl Follow {
    /// Watches the journal below `root`. Nothing that is written after this is missed.
    ///
    /// # Errors
    /// The system's.
    pub fn new(root: &Path) -> io::Result<Follow> {
        let dir = directory(root);
        std::fs::create_dir_all(&dir)?;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        inotify.add_watch(&dir, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE)?;
        Ok(Follow(inotify))
    }

    /// Waits until something was written, at most for `timeout`.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = match timeout {
            // Rounded up, or the last millisecond would be spent awake.
            Some(left) => {
                PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
        match self.0.read_events() {
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::thread;

    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::super::Kind;
    use super::super::write::append;
    use super::*;

    fn event(action: &str) -> Event {
        Event::new(Kind::Container, action, "id").with("name", "web")
    }

    fn actions(reader: &mut Reader) -> Vec<String> {
        std::iter::from_fn(|| reader.next_event().unwrap()).map(|event| event.action).collect()
    }

    #[test]
    fn who_follows_misses_nothing_while_many_write_and_files_change() {
        let root = tempfile::tempdir().unwrap();
        let follow = Follow::new(root.path()).unwrap();
        let mut reader = Reader::open(root.path()).unwrap();
        let mut seen = Vec::new();
        thread::scope(|scope| {
            for writer in 0..4 {
                let root = root.path();
                scope.spawn(move || {
                    for n in 0..50 {
                        // All are kept: a second file is begun, and no third one.
                        append(root, &event(&format!("{writer}-{n}")), 20_000).unwrap();
                    }
                });
            }
            while seen.len() < 200 {
                follow.wait(Some(Duration::from_secs(10))).unwrap();
                seen.extend(actions(&mut reader));
            }
        });
        let mut expected: Vec<String> =
            (0..4).flat_map(|w| (0..50).map(move |n| format!("{w}-{n}"))).collect();
        seen.sort();
        expected.sort();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_reader_goes_on_in_the_next_file_and_two_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let mut reader = Reader::open(root.path()).unwrap();
        let mut seen = Vec::new();
        for n in 0..50 {
            append(root.path(), &event(&n.to_string()), 1000).unwrap();
            if n % 4 == 0 {
                seen.extend(actions(&mut reader));
            }
        }
        seen.extend(actions(&mut reader));
        assert_eq!(seen, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
        let files: Vec<_> = std::fs::read_dir(directory(root.path())).unwrap().collect();
        assert_eq!(files.len(), 2);
        let sizes = files.into_iter().map(|file| file.unwrap().metadata().unwrap().len());
        assert!(sizes.into_iter().all(|size| size <= 1000));
    }

    #[test]
    fn rubbish_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        append(root.path(), &event("one"), 1000).unwrap();
        std::fs::write(file(root.path()), "{\"time\":\n\0\0\n").unwrap();
        append(root.path(), &event("two"), 1000).unwrap();
        assert_eq!(actions(&mut Reader::open(root.path()).unwrap()), ["two"]);
    }

    #[test]
    fn an_event_is_printed_as_docker_does() {
        let mut event = event("die").with("exitCode", "5");
        event.time = Timestamp::UNIX_EPOCH;
        assert_eq!(
            event.to_string(),
            "1970-01-01T00:00:00.000000000Z container die id (exitCode=5, name=web)"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            seconds in 0_i64..10_000_000_000, nanos in 0_i32..1_000_000_000,
            kind in prop::sample::select(&Kind::ALL), action in any::<String>(), id in any::<String>(),
            attributes in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4),
        ) {
            let root = tempfile::tempdir().unwrap();
            let time = Timestamp::new(seconds, nanos).unwrap();
            let attributes: BTreeMap<String, String> = attributes;
            let event = Event { time, kind, action, id, attributes };
            append(root.path(), &event, 1000).unwrap();
            append(root.path(), &event, 1000).unwrap();
            let mut reader = Reader::open(root.path()).unwrap();
            prop_assert_eq!(reader.next_event().unwrap(), Some(event.clone()));
            prop_assert_eq!(reader.next_event().unwrap(), Some(event));
            prop_assert_eq!(reader.next_event().unwrap(), None);
        }
    }
}
