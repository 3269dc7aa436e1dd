//! The server, driven by a client of its own over a real directory.

mod attacks;
mod operations;

use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::wire::{Reader, Write9p};
use super::{Connection, Error, Export, MSIZE};
use crate::share::message::kind;

/// The fid of the root.
const ROOT: u32 = 0;

/// A client, and the directory that it has a share of: `share` in a directory
/// with more beside it.
pub struct Client {
    connection: Connection,
    dir: tempfile::TempDir,
}

/// An answer's body, or the error.
type Answer = Result<Vec<u8>, Errno>;

impl Client {
    /// Attached by root to a share of a directory.
    fn new() -> Client {
        Client::of("share", false, 64)
    }

    fn read_only() -> Client {
        Client::of("share", true, 64)
    }

    /// Attached to a share of something in the directory.
    fn of(path: &str, read_only: bool, max_fids: usize) -> Client {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("share")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        let export = Export::open(&dir.path().join(path), read_only).unwrap();
        let mut client = Client { connection: Connection::new(export, max_fids), dir };
        let body = client.call(kind::VERSION, |out| {
            out.put_u32(1 << 20);
            out.put_string(b"9P2000.L");
        });
        let mut body = &body.unwrap()[..];
        let mut reader = Reader(body);
        assert_eq!(reader.u32().unwrap() as usize, MSIZE);
        body = reader.string().unwrap();
        assert_eq!(body, b"9P2000.L");
        client.attach(ROOT, 0).unwrap();
        client
    }

    /// A path in the share, on the host.
    fn host(&self, path: &str) -> PathBuf {
        self.dir.path().join("share").join(path)
    }

    /// The directory around the share.
    fn outside(&self) -> &Path {
        self.dir.path()
    }

    /// Bytes as they are; the answers to all messages in them.
    fn raw(&mut self, bytes: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, Error> {
        self.connection.feed(bytes);
        let mut answers = Vec::new();
        let mut out = Vec::new();
        while self.connection.answer(&mut out)? {
            assert!(out.len() <= MSIZE, "an answer of {} bytes", out.len());
            assert_eq!(out[..4], (out.len() as u32).to_le_bytes());
            answers.push((out[4], out[7..].to_vec()));
            out.clear();
        }
        Ok(answers)
    }

    fn call(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) -> Answer {
        let answers = self.raw(&message(kind, body)).unwrap();
        let [(answered, body)] = &answers[..] else { panic!("{answers:?}") };
        if *answered == kind::LERROR + 1 {
            let errno = u32::from_le_bytes(body[..].try_into().unwrap());
            return Err(Errno::from_raw(errno as i32));
        }
        assert_eq!(*answered, kind + 1);
        Ok(body.clone())
    }

    fn attach(&mut self, fid: u32, uid: u32) -> Answer {
        self.call(kind::ATTACH, |out| {
            out.put_u32(fid);
            out.put_u32(u32::MAX);
            out.put_string(b"");
            out.put_string(b"");
            out.put_u32(uid);
        })
    }

    /// The number of names that were found.
    fn walk(&mut self, fid: u32, newfid: u32, names: &[&str]) -> Result<u16, Errno> {
        let body = self.call(kind::WALK, |out| {
            out.put_u32(fid);
            out.put_u32(newfid);
            out.put_u16(names.len() as u16);
            names.iter().for_each(|name| out.put_string(name.as_bytes()));
        })?;
        let count = u16::from_le_bytes([body[0], body[1]]);
        assert_eq!(body.len(), 2 + 13 * usize::from(count));
        Ok(count)
    }

    fn clunk(&mut self, fid: u32) -> Answer {
        self.call(kind::CLUNK, |out| out.put_u32(fid))
    }

    fn open(&mut self, fid: u32, flags: u32) -> Answer {
        self.call(kind::LOPEN, |out| {
            out.put_u32(fid);
            out.put_u32(flags);
        })
    }

    fn read(&mut self, fid: u32, offset: u64, count: u32) -> Answer {
        self.counted(kind::READ, fid, offset, count)
    }

    fn counted(&mut self, kind: u8, fid: u32, offset: u64, count: u32) -> Answer {
        let mut body = self.call(kind, |out| {
            out.put_u32(fid);
            out.put_u64(offset);
            out.put_u32(count);
        })?;
        let length = u32::from_le_bytes(body[..4].try_into().unwrap()) as usize;
        assert_eq!(body.len(), 4 + length);
        Ok(body.split_off(4))
    }

    fn write(&mut self, fid: u32, offset: u64, data: &[u8]) -> Answer {
        self.call(kind::WRITE, |out| {
            out.put_u32(fid);
            out.put_u64(offset);
            out.put_u32(data.len() as u32);
            out.put(data);
        })
    }

    fn create(&mut self, fid: u32, name: &str, flags: u32, mode: u32) -> Answer {
        self.call(kind::LCREATE, |out| {
            out.put_u32(fid);
            out.put_string(name.as_bytes());
            out.put_u32(flags);
            out.put_u32(mode);
            out.put_u32(0);
        })
    }

    fn mkdir(&mut self, fid: u32, name: &str, mode: u32, gid: u32) -> Answer {
        self.call(kind::MKDIR, |out| {
            out.put_u32(fid);
            out.put_string(name.as_bytes());
            out.put_u32(mode);
            out.put_u32(gid);
        })
    }

    fn mknod(&mut self, fid: u32, name: &str, mode: u32) -> Answer {
        self.call(kind::MKNOD, |out| {
            out.put_u32(fid);
            out.put_string(name.as_bytes());
            out.put_u32(mode);
            // /dev/mem, which nobody gets.
            out.put_u32(1);
            out.put_u32(1);
            out.put_u32(0);
        })
    }

    fn symlink(&mut self, fid: u32, name: &str, target: &str) -> Answer {
        self.call(kind::SYMLINK, |out| {
            out.put_u32(fid);
            out.put_string(name.as_bytes());
            out.put_string(target.as_bytes());
            out.put_u32(0);
        })
    }

    fn link(&mut self, dir: u32, fid: u32, name: &str) -> Answer {
        self.call(kind::LINK, |out| {
            out.put_u32(dir);
            out.put_u32(fid);
            out.put_string(name.as_bytes());
        })
    }

    fn rename(&mut self, from: u32, old: &str, to: u32, new: &str) -> Answer {
        self.call(kind::RENAMEAT, |out| {
            out.put_u32(from);
            out.put_string(old.as_bytes());
            out.put_u32(to);
            out.put_string(new.as_bytes());
        })
    }

    fn unlink(&mut self, fid: u32, name: &str, flags: u32) -> Answer {
        self.call(kind::UNLINKAT, |out| {
            out.put_u32(fid);
            out.put_string(name.as_bytes());
            out.put_u32(flags);
        })
    }

    fn getattr(&mut self, fid: u32) -> Result<Attributes, Errno> {
        let body = self.call(kind::GETATTR, |out| {
            out.put_u32(fid);
            out.put_u64(0x7ff);
        })?;
        let mut body = Reader(&body);
        body.bytes(8 + 13).unwrap();
        let (mode, uid, gid) = (body.u32().unwrap(), body.u32().unwrap(), body.u32().unwrap());
        let (nlink, _rdev, size) = (body.u64().unwrap(), body.u64().unwrap(), body.u64().unwrap());
        body.bytes(16 + 16).unwrap();
        let mtime = body.u64().unwrap();
        assert_eq!(body.0.len(), 8 + 32 + 16);
        Ok(Attributes { mode, uid, gid, nlink, size, mtime })
    }

    fn setattr(&mut self, fid: u32, valid: u32, number: u32, long: u64) -> Answer {
        self.call(kind::SETATTR, |out| {
            out.put_u32(fid);
            out.put_u32(valid);
            (0..3).for_each(|_| out.put_u32(number));
            out.put_u64(long);
            for _ in 0..2 {
                out.put_u64(long);
                out.put_u64(0);
            }
        })
    }

    /// Names in a directory, each with its type, in the order of the alphabet.
    fn list(&mut self, fid: u32, room: u32) -> Vec<(String, u8)> {
        let (mut names, mut offset) = (Vec::new(), 0);
        loop {
            let body = self.counted(kind::READDIR, fid, offset, room).unwrap();
            let mut body = Reader(&body);
            if body.0.is_empty() {
                names.sort();
                return names;
            }
            while !body.0.is_empty() {
                body.bytes(13).unwrap();
                offset = body.u64().unwrap();
                let kind = body.u8().unwrap();
                let name = String::from_utf8(body.string().unwrap().to_vec()).unwrap();
                names.push((name, kind));
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u64,
    size: u64,
    mtime: u64,
}

/// A message with the tag 7.
fn message(kind: u8, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, kind, 7, 0];
    body(&mut out);
    let size = (out.len() as u32).to_le_bytes();
    out[..4].copy_from_slice(&size);
    out
}
