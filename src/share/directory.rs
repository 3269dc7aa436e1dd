//! Contents of directories.

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{Whence, lseek};
use vxn_proto::SHARED_FILE as FILE;

use super::fids::Fid;
use super::message::FidId;
use super::node::{Node, Qid};
use super::server::Server;
use super::sys::{Entry, entries};
use super::wire::Write9p;

/// Bytes of an entry besides its name: qid, offset, type, length.
const ENTRY: usize = 13 + 8 + 1 + 2;

impl Server {
    /// Entries from `offset` on, which is the one that the last of them gave.
    pub(super) fn read_dir(
        &self,
        id: FidId,
        offset: u64,
        count: u32,
        out: &mut Vec<u8>,
    ) -> nix::Result<()> {
        let room = count.min(self.io_unit()) as usize;
        let start = out.len() + 4;
        out.put_u32(0);
        if let Fid { node: Node::Top, open: true, .. } = self.fids.get(id)? {
            self.read_top(offset, room, out);
        } else {
            let dir = self.opened(id)?;
            let device = fstat(dir)?.st_dev;
            lseek(dir, offset.try_into().map_err(|_| Errno::EINVAL)?, Whence::SeekSet)?;
            let mut buffer = vec![0; room];
            for entry in entries(dir, &mut buffer)? {
                if out.len() - start + ENTRY + entry.name.len() > room {
                    break;
                }
                let kind = SFlag::from_bits_truncate(u32::from(entry.kind) << 12);
                put(&entry, Qid::new(kind, device, entry.ino, self.home()), out);
            }
        }
        let length = (out.len() - start) as u32;
        out[start - 4..start].copy_from_slice(&length.to_le_bytes());
        Ok(())
    }

    /// The one file of a share that is no directory.
    fn read_top(&self, offset: u64, room: usize, out: &mut Vec<u8>) {
        let Ok(stat) = fstat(self.root()) else { return };
        let entry = Entry { ino: stat.st_ino, offset: 1, kind: 8, name: FILE.as_bytes() };
        if offset == 0 && room >= ENTRY + FILE.len() {
            put(&entry, Qid::of(&stat, self.home()), out);
        }
    }
}

fn put(entry: &Entry<'_>, qid: Qid, out: &mut Vec<u8>) {
    qid.write(out);
    out.put_u64(entry.offset);
    out.put_u8(entry.kind);
    out.put_string(entry.name);
}
