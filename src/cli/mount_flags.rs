//! The flags that say what of this host a container has: `-v`, `--mount` and
//! `--volumes-from`, as docker has them.

use std::path::{Path, PathBuf};

use clap::Args;
use vxn_proto::Tmpfs;

use super::devices::{device, disk};
use crate::container::devices::Device;
use crate::volume;

/// Mount flags of `vxn run` and `vxn create`.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Mounts")]
pub struct MountFlags {
    /// Mount a directory or a file of this host, or a volume by its name; without
    /// either a volume that goes with the container. Options: ro, nocopy.
    #[arg(
        short, long = "volume", value_name = "[SOURCE:]PATH[:OPTIONS]", value_parser = volume
    )]
    pub volumes: Vec<Wanted>,
    /// The same in other words: type=bind|volume|tmpfs|block, source=, target=, readonly,
    /// volume-nocopy, tmpfs-size=, tmpfs-mode=; block is what --device is.
    #[arg(long = "mount", value_name = "KEY=VALUE,…", value_parser = mount)]
    pub mounts: Vec<Wanted>,
    /// Mount what another container has mounted, there.
    #[arg(long, value_name = "CONTAINER[:ro]")]
    pub volumes_from: Vec<String>,
    /// Give the container a block device or an image file of this host as a disk:
    /// /dev/vg/lv:/dev/xvdc. Permissions: r, rw.
    #[arg(long = "device", value_name = "SOURCE:/dev/xvdX[:PERMISSIONS]", value_parser = device)]
    pub devices: Vec<Device>,
}

/// One mount that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Something of this host.
    Shared {
        /// What.
        source: Source,
        /// Where.
        destination: String,
        /// Nothing may be written to it.
        read_only: bool,
    },
    /// A file system in the guest's memory.
    Tmpfs(Tmpfs),
    /// A disk.
    Block(Device),
}

/// What of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A directory or a file; a missing one becomes a directory with `create`.
    Bind {
        /// Where it is; relative to the working directory when it begins with a dot.
        path: PathBuf,
        /// Whether it is made.
        create: bool,
    },
    /// A volume; without a name, one for this container.
    Volume {
        /// Its name.
        name: Option<volume::Name>,
        /// While it is empty, it gets what the image has there.
        fill: bool,
    },
}

/// `[SOURCE:]PATH[:OPTIONS]`.
fn volume(text: &str) -> Result<Wanted, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, path, options) = match parts[..] {
        [path] => (None, path, ""),
        [source, path] => (Some(source), path, ""),
        [source, path, options] => (Some(source), path, options),
        _ => return Err("it has more than three parts".to_owned()),
    };
    let Options { read_only, fill } = Options::parse(options)?;
    let source = match source {
        None => Source::Volume { name: None, fill },
        Some(path) if path.starts_with(['/', '.']) => {
            Source::Bind { path: path.into(), create: true }
        }
        Some(name) => Source::Volume { name: Some(name.parse()?), fill },
    };
    Ok(Wanted::Shared { source, destination: destination(path)?, read_only })
}

/// What comes behind the path.
struct Options {
    read_only: bool,
    fill: bool,
}

impl Options {
    fn parse(text: &str) -> Result<Options, String> {
        let mut options = Options { read_only: false, fill: true };
        let words: Vec<&str> = text.split(',').filter(|word| !word.is_empty()).collect();
        for word in &words {
            match *word {
                "ro" => options.read_only = true,
                "nocopy" => options.fill = false,
                // Labels of SELinux are about who may look at a file in Dom0, where
                // the container never is. Mounts of a DomU are its own, and what is
                // shared is always consistent.
                "rw" | "z" | "Z" | "private" | "rprivate" | "consistent" | "cached"
                | "delegated" => {}
                "shared" | "rshared" | "slave" | "rslave" => return Err(propagation(word)),
                _ => return Err(format!("there is no option {word:?}: there are ro, rw, nocopy")),
            }
        }
        if words.contains(&"ro") && words.contains(&"rw") {
            return Err("it is either ro or rw".to_owned());
        }
        Ok(options)
    }
}

fn propagation(word: &str) -> String {
    format!("{word}: mounts do not propagate between a DomU and this host")
}

/// `KEY=VALUE,…`.
fn mount(text: &str) -> Result<Wanted, String> {
    let mut fields = Fields { kind: "volume", fill: true, ..Fields::default() };
    text.split(',').try_for_each(|field| fields.set(field))?;
    fields.finish()
}

/// The fields of a `--mount`.
#[derive(Default)]
struct Fields<'a> {
    kind: &'a str,
    source: Option<&'a str>,
    target: Option<&'a str>,
    read_only: bool,
    fill: bool,
    tmpfs: Vec<String>,
}

impl<'a> Fields<'a> {
    fn set(&mut self, field: &'a str) -> Result<(), String> {
        let (key, value) = field.split_once('=').map_or((field, None), |(k, v)| (k, Some(v)));
        let given = || value.ok_or_else(|| format!("{key} needs a value"));
        match key {
            "type" => self.kind = given()?,
            "source" | "src" => self.source = Some(given()?),
            "target" | "destination" | "dst" => self.target = Some(given()?),
            "readonly" | "ro" => self.read_only = truth(key, value)?,
            "volume-nocopy" => self.fill = !truth(key, value)?,
            "tmpfs-size" => self.tmpfs.push(format!("size={}", given()?)),
            "tmpfs-mode" => self.tmpfs.push(format!("mode={}", given()?)),
            "volume-driver" if value == Some("local") => {}
            "bind-propagation" if matches!(value, Some("private" | "rprivate")) => {}
            "bind-propagation" => return Err(propagation(given()?)),
            "consistency" => {}
            _ => return Err(format!("there is no field {field:?} here")),
        }
        Ok(())
    }

    fn finish(self) -> Result<Wanted, String> {
        if self.kind == "block" {
            return self.block();
        }
        let destination = destination(self.target.ok_or("target= is missing")?)?;
        if !self.tmpfs.is_empty() && self.kind != "tmpfs" {
            return Err("tmpfs-… is for type=tmpfs".to_owned());
        }
        let source = match (self.kind, self.source) {
            ("bind", None) => return Err("type=bind needs source=".to_owned()),
            ("bind", Some(path)) if !path.starts_with(['/', '.']) => {
                return Err(format!("{path:?} is no absolute path"));
            }
            ("bind", Some(path)) => Source::Bind { path: path.into(), create: false },
            ("volume", name) => {
                let name = name.filter(|name| !name.is_empty()).map(str::parse).transpose()?;
                Source::Volume { name, fill: self.fill }
            }
            ("tmpfs", None) => return Ok(self.tmpfs(destination)),
            ("tmpfs", Some(_)) => return Err("type=tmpfs has no source".to_owned()),
            (kind, _) => {
                return Err(format!("no type {kind:?}: there are bind, volume, tmpfs, block"));
            }
        };
        Ok(Wanted::Shared { source, destination, read_only: self.read_only })
    }

    fn block(self) -> Result<Wanted, String> {
        let source = self.source.ok_or("type=block needs source=")?;
        let target = self.target.ok_or("target= is missing")?;
        if !self.tmpfs.is_empty() || !self.fill {
            return Err("type=block takes source=, target= and readonly".to_owned());
        }
        disk(source, target, self.read_only).map(Wanted::Block)
    }

    fn tmpfs(self, path: String) -> Wanted {
        let mut options = self.tmpfs;
        options.extend(self.read_only.then(|| "ro".to_owned()));
        Wanted::Tmpfs(Tmpfs { path, options })
    }
}

fn truth(key: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(format!("{key}={other}: true or false")),
    }
}

/// A place to mount at, without `.` and `..`, taken by the letter as docker does.
pub fn destination(text: &str) -> Result<String, String> {
    use std::path::Component::{Normal, ParentDir};
    let mut names = Vec::new();
    for part in Path::new(text).components() {
        match part {
            Normal(name) => names.push(name.to_str().unwrap_or_default()),
            ParentDir => drop(names.pop()),
            _ => {}
        }
    }
    if !text.starts_with('/') || names.is_empty() || text.contains('\0') {
        return Err(format!("{text:?} is no absolute path to mount on"));
    }
    Ok(format!("/{}", names.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(source: Source, destination: &str, read_only: bool) -> Result<Wanted, String> {
        Ok(Wanted::Shared { source, destination: destination.to_owned(), read_only })
    }

    fn bind(path: &str, create: bool) -> Source {
        Source::Bind { path: path.into(), create }
    }

    fn named(name: &str, fill: bool) -> Source {
        let name = (!name.is_empty()).then(|| name.parse().unwrap());
        Source::Volume { name, fill }
    }

    #[test]
    fn a_volume_is_a_directory_a_name_or_nothing() {
        assert_eq!(volume("/a:/b"), shared(bind("/a", true), "/b", false));
        assert_eq!(volume("./a:/b/../c/:ro,z"), shared(bind("./a", true), "/c", true));
        assert_eq!(volume("data:/b:nocopy"), shared(named("data", false), "/b", false));
        assert_eq!(volume("/b"), shared(named("", true), "/b", false));
        for text in [
            "",
            "a",
            "/",
            "/a:",
            ":/a",
            "/a:b",
            "/a:ro",
            "a/b:/c",
            "x:/c",
            "/a:/b:/c:ro",
            "/a:/b:rw,ro",
            "/a:/b:shared",
            "/a:/b:exec",
            "data:/",
            "/a:/b/..",
        ] {
            assert!(volume(text).is_err(), "{text:?}: {:?}", volume(text));
        }
    }

    #[test]
    fn a_mount_has_fields() {
        assert_eq!(
            mount("type=bind,src=/a,dst=/b,readonly"),
            shared(bind("/a", false), "/b", true)
        );
        assert_eq!(mount("source=data,target=/b"), shared(named("data", true), "/b", false));
        assert_eq!(
            mount("type=volume,destination=/b,ro=false,volume-nocopy"),
            shared(named("", false), "/b", false)
        );
        let tmpfs = Tmpfs { path: "/t".into(), options: vec!["size=1m".into(), "ro".into()] };
        assert_eq!(mount("type=tmpfs,dst=/t,tmpfs-size=1m,ro"), Ok(Wanted::Tmpfs(tmpfs)));
        let device = disk("/dev/vg/lv", "/dev/xvdc", true).unwrap();
        let block = mount("type=block,src=/dev/vg/lv,dst=/dev/xvdc,readonly");
        assert_eq!(block, Ok(Wanted::Block(device)));
        for text in [
            "",
            "type=block,dst=/dev/xvdc",
            "type=block,src=/d,dst=/data",
            "type=block,src=/d,dst=/dev/xvdc,volume-nocopy",
            "type=bind,dst=/b",
            "type=bind,src=a,dst=/b",
            "src=/a,dst=/b",
            "type=npipe,dst=/b",
            "type=tmpfs,src=/a,dst=/b",
            "type=bind,src=/a",
            "dst=/b,readonly=maybe",
            "dst=/b,tmpfs-size=1",
            "type=bind,src=/a,dst=/b,bind-propagation=shared",
            "dst=/b,volume-driver=nfs",
            "dst=/b,x=y",
        ] {
            assert!(mount(text).is_err(), "{text:?}");
        }
    }
}
