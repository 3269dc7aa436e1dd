//! The programs that make root disks of an archive, and how they are told to.

use std::path::Path;
use std::process::{Command, Stdio};

use super::super::{Digest, DiskFormat, Error, Formats, Result};
use crate::tool::{self, MKFS_EROFS, SQFSTAR, Tool};

/// Memory for `sqfstar`'s queues: its default, a quarter of the machine's, is
/// not ours to take from a small Dom0.
const SQFSTAR_MEMORY: &str = "64M";

/// A program that makes disks of one kind, as far as it had to be looked at.
#[derive(Debug)]
pub enum Maker {
    /// `sqfstar`.
    SquashFs,
    /// `mkfs.erofs`, with what it says of itself.
    Erofs(Help),
}

/// What `mkfs.erofs --help` prints.
#[derive(Debug)]
pub struct Help(String);

impl Help {
    fn ask() -> Result<Help> {
        let mut command = MKFS_EROFS.command()?;
        command.arg("--help").stdout(Stdio::piped()).stderr(Stdio::piped());
        let io = |source| tool::Error::Io { tool: MKFS_EROFS.name, source };
        let output = command.output().map_err(io)?;
        // Which of the two it is differs from release to release, and so does the code.
        let text = [output.stdout, output.stderr].concat();
        Ok(Help(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Whether it makes disks of archives, as it does since erofs-utils 1.7, and was
    /// built with lz4.
    fn will_do(&self) -> bool {
        self.0.contains("--tar") && self.0.contains("lz4")
    }

    fn has_workers(&self) -> bool {
        self.0.contains("--workers")
    }
}

/// Whether the `mkfs.erofs` of this host can make disks; why not, if it cannot.
pub fn probe_erofs() -> Result<()> {
    erofs().map(drop)
}

fn erofs() -> Result<Maker> {
    let help = Help::ask()?;
    if help.will_do() { Ok(Maker::Erofs(help)) } else { Err(Error::OldErofs) }
}

impl Maker {
    /// The one that makes the best disk that will do.
    ///
    /// # Errors
    /// Only EROFS will do, and there is no `mkfs.erofs` that reads archives.
    pub fn choose(formats: Formats) -> Result<Maker> {
        match formats {
            Formats::SquashFs => Ok(Maker::SquashFs),
            Formats::Erofs => erofs(),
            Formats::Any => Ok(erofs().unwrap_or_else(|e| {
                tracing::debug!("no EROFS: {e}");
                Maker::SquashFs
            })),
        }
    }

    /// What it makes.
    pub fn format(&self) -> DiskFormat {
        match self {
            Maker::SquashFs => DiskFormat::SquashFs,
            Maker::Erofs(_) => DiskFormat::Erofs,
        }
    }

    /// The program.
    pub fn tool(&self) -> Tool {
        match self {
            Maker::SquashFs => SQFSTAR,
            Maker::Erofs(_) => MKFS_EROFS,
        }
    }

    /// A command that makes the disk `out` of an archive on its standard input. The
    /// same archive is to give the same bytes: `newest` is no earlier than any entry,
    /// `recipe` is the disk's own.
    pub fn command(&self, out: &Path, newest: u32, recipe: &Digest) -> Result<Command> {
        let mut command = self.tool().command()?;
        // Nothing is dated later. For both tools that is the time of making too, and
        // sqfstar 4.5 dates the root directory by nothing else, whatever `-root-time`
        // says.
        command.env("SOURCE_DATE_EPOCH", newest.to_string()).stdin(Stdio::piped());
        match self {
            Maker::SquashFs => squashfs(&mut command),
            Maker::Erofs(help) => erofs_arguments(&mut command, help, out, recipe),
        };
        command.arg(out);
        Ok(command)
    }
}

fn squashfs(command: &mut Command) {
    command
        .args(["-comp", "lz4", "-quiet", "-no-progress", "-exit-on-error"])
        .args(["-root-mode", "755", "-root-uid", "0", "-root-gid", "0"])
        .args(["-mem", SQFSTAR_MEMORY]);
}

/// Blocks are of 4096 bytes, a guest's page, whatever this host's is.
fn erofs_arguments(command: &mut Command, help: &Help, out: &Path, recipe: &Digest) {
    command.args(["--tar=f", "-zlz4", "-b4096", "-d0", "--quiet", "-U", &uuid(recipe)]);
    // Without threads it takes 20 MB of memory in place of 400, and no longer; and what
    // it writes does not depend on the number of processors.
    if help.has_workers() {
        command.arg("--workers=0");
    }
    // It keeps files' data there until it knows their order, and /tmp may be memory.
    command.env("TMPDIR", out.parent().unwrap_or(Path::new("/")));
}

/// A UUID that is the recipe's, version 8 (RFC 9562) for it is none of the known kinds.
fn uuid(recipe: &Digest) -> String {
    let hex = recipe.hex();
    format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_can_is_in_its_help() {
        // erofs-utils 1.5, 1.7 and 1.8, shortened.
        let old = Help(" -zX[,Y]   X=compressor\n\nAvailable compressors are: lz4, lz4hc\n".into());
        let first = Help(" --tar=[fi]  generate an image\nAvailable compressors are: lz4\n".into());
        let new = Help(" --tar=X\n --workers=#\n   lz4\n".into());
        let bare = Help(" --tar=X\nAvailable compressors are: deflate\n".into());
        assert_eq!([&old, &first, &new, &bare].map(Help::will_do), [false, true, true, false]);
        assert_eq!([&first, &new].map(Help::has_workers), [false, true]);
    }

    #[test]
    fn the_uuid_is_one() {
        let digest = Digest::of(b"layers");
        let uuid = uuid(&digest);
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(uuid.split('-').skip(2).take(2).all(|part| part.starts_with('8')), "{uuid}");
    }

    #[test]
    fn squashfs_needs_no_look_at_other_tools() {
        assert_eq!(Maker::choose(Formats::SquashFs).unwrap().format(), DiskFormat::SquashFs);
    }
}
