//! What libxl asks for: its arguments and environment (libxl_linux.c,
//! `libxl__get_hotplug_script_info`).

use std::ffi::{OsStr, OsString};
use std::fmt;

use super::{Error, Result};

/// One call of the hotplug program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `vxn-hotplug add`
    AddDisk(Backend),
    /// `vxn-hotplug remove`
    RemoveDisk(Backend),
    /// `vxn-hotplug online type_if=vif`; the name of the network device is `$vif`.
    NicOnline(Backend, String),
    /// `vxn-hotplug offline type_if=vif`
    NicOffline(Backend, String),
}

/// The backend of a device: its place in xenstore, whose it is, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// `$XENBUS_PATH`, for instance `backend/vbd/5/51712`.
    pub path: String,
    /// The domain with the frontend.
    pub domid: u32,
    /// The number of the device in that domain.
    pub devid: u32,
}

impl Request {
    /// Reads the program's arguments (without its name) and its environment.
    pub fn parse(
        args: impl Iterator<Item = OsString>,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Request> {
        let args: Vec<OsString> = args.collect();
        let args: Vec<&str> = args.iter().map(|a| a.to_str().unwrap_or("?")).collect();
        let path = env("XENBUS_PATH").ok_or_else(|| usage("XENBUS_PATH is not set"))?;
        let (kind, backend) = Backend::parse(&path)?;
        let vif = || match env("vif") {
            Some(name) => name.into_string().map_err(|_| usage("$vif is not UTF-8")),
            None => Ok(format!("vif{}.{}", backend.domid, backend.devid)),
        };
        match (kind, args.as_slice()) {
            ("vbd", ["add"]) => Ok(Request::AddDisk(backend)),
            ("vbd", ["remove"]) => Ok(Request::RemoveDisk(backend)),
            ("vif", ["online", "type_if=vif"]) => vif().map(|v| Request::NicOnline(backend, v)),
            ("vif", ["offline", "type_if=vif"]) => vif().map(|v| Request::NicOffline(backend, v)),
            _ => Err(usage(format!("{kind} backend, arguments {args:?}"))),
        }
    }

    /// The backend that the request is about.
    pub fn backend(&self) -> &Backend {
        match self {
            Request::AddDisk(b) | Request::RemoveDisk(b) => b,
            Request::NicOnline(b, _) | Request::NicOffline(b, _) => b,
        }
    }
}

impl Backend {
    /// Takes `backend/KIND/DOMID/DEVID` apart, also behind `/local/domain/N/`.
    fn parse(path: &OsStr) -> Result<(&'static str, Backend)> {
        let bad = || usage(format!("XENBUS_PATH is {path:?}"));
        let text = path.to_str().ok_or_else(bad)?;
        let mut parts = text.rsplit('/');
        let mut number = || parts.next()?.parse().ok();
        let (devid, domid) = number().zip(number()).ok_or_else(bad)?;
        let kind = match parts.next() {
            Some("vbd") => "vbd",
            Some("vif") => "vif",
            _ => return Err(bad()),
        };
        if parts.next() != Some("backend") {
            return Err(bad());
        }
        Ok((kind, Backend { path: text.to_owned(), domid, devid }))
    }

    /// The path of one of its nodes.
    pub fn node(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

fn usage(what: impl Into<String>) -> Error {
    Error::Usage(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str], env: &[(&str, &str)]) -> Result<Request> {
        let lookup =
            |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        Request::parse(args.iter().map(OsString::from), lookup)
    }

    #[test]
    fn what_libxl_sends_is_understood() {
        let disk = Backend { path: "backend/vbd/5/51712".into(), domid: 5, devid: 51712 };
        let env = [("XENBUS_PATH", "backend/vbd/5/51712")];
        assert_eq!(parse(&["add"], &env).unwrap(), Request::AddDisk(disk.clone()));
        assert_eq!(parse(&["remove"], &env).unwrap(), Request::RemoveDisk(disk));

        let nic = Backend { path: "/local/domain/0/backend/vif/5/1".into(), domid: 5, devid: 1 };
        let env = [("XENBUS_PATH", "/local/domain/0/backend/vif/5/1"), ("vif", "vif5.1")];
        let online = parse(&["online", "type_if=vif"], &env).unwrap();
        assert_eq!(online, Request::NicOnline(nic.clone(), "vif5.1".into()));
        let offline = parse(&["offline", "type_if=vif"], &env[..1]).unwrap();
        assert_eq!(offline, Request::NicOffline(nic, "vif5.1".into()));
    }

    #[test]
    fn everything_else_is_refused() {
        for (args, path) in [
            (&["add"][..], "backend/vif/5/0"),
            (&["online", "type_if=tap"], "backend/vif/5/0"),
            (&["add", "more"], "backend/vbd/5/51712"),
            (&[], "backend/vbd/5/51712"),
            (&["add"], "backend/vbd/5"),
            (&["add"], "backend/vbd/x/1"),
            (&["add"], "frontend/vbd/5/1"),
            (&["add"], ""),
        ] {
            let error = parse(args, &[("XENBUS_PATH", path)]).unwrap_err();
            assert!(matches!(error, Error::Usage(_)), "{args:?} {path}");
        }
        assert!(parse(&["add"], &[]).is_err());
    }
}
