//! One downloader for each blob: locks on bytes of one file, the byte chosen by
//! the blob's digest. The kernel frees them when their holder dies, and no lock
//! file is ever left. Two digests that share a byte only wait for each other.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::Digest;

/// Held locks; dropping them frees them.
#[derive(Debug)]
pub struct BlobLocks(#[expect(dead_code, reason = "held for its Drop")] File);

impl BlobLocks {
    /// Waits until nobody else holds one of `blobs`. `waiting` is called before
    /// the first wait. All lock in the same order, so none waits for ever.
    pub fn take(
        file: &Path,
        blobs: impl IntoIterator<Item = Digest>,
        waiting: &mut dyn FnMut(),
    ) -> io::Result<BlobLocks> {
        let open =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file)?;
        let mut bytes: Vec<i64> = blobs.into_iter().map(byte).collect();
        bytes.sort_unstable();
        bytes.dedup();
        let mut said = false;
        for at in bytes {
            match fcntl(&open, FcntlArg::F_OFD_SETLK(&region(at))) {
                Ok(_) => continue,
                Err(Errno::EAGAIN | Errno::EACCES) => {}
                Err(e) => return Err(e.into()),
            }
            if !std::mem::replace(&mut said, true) {
                waiting();
            }
            fcntl(&open, FcntlArg::F_OFD_SETLKW(&region(at)))?;
        }
        Ok(BlobLocks(open))
    }
}

/// 62 bits of the digest: a positive offset, with its end.
fn byte(digest: Digest) -> i64 {
    i64::from_be_bytes(digest.first_bytes()) & (i64::MAX >> 1)
}

fn region(at: i64) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: at,
        l_len: 1,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn who_shares_a_blob_waits_and_who_shares_none_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("locks");
        let [a, b, c] = [b"a", b"b", b"c"].map(|text| Digest::of(text));
        let first = BlobLocks::take(&file, [a, b], &mut || panic!("nobody is there")).unwrap();
        BlobLocks::take(&file, [c], &mut || panic!("not shared")).unwrap();
        let (said, heard) = mpsc::channel();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                BlobLocks::take(&file, [c, b], &mut || said.send("waiting").unwrap()).unwrap();
            });
            assert_eq!(heard.recv().unwrap(), "waiting");
            drop(first);
            second.join().unwrap();
        });
        assert!(heard.try_recv().is_err(), "said once");
    }

    #[test]
    fn opposite_orders_do_not_block_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = &dir.path().join("locks");
        let blobs: Vec<Digest> = (0..8_u8).map(|n| Digest::of(&[n])).collect();
        std::thread::scope(|scope| {
            for turn in 0..8 {
                let mut mine = blobs.clone();
                mine.rotate_left(turn);
                scope.spawn(move || {
                    for _ in 0..50 {
                        BlobLocks::take(file, mine.iter().copied(), &mut || {}).unwrap();
                    }
                });
            }
        });
    }
}
