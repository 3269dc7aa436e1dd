//! Virtual network interfaces.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Ctx, DomId, ParseIdError, Result, ffi};

/// A hardware address, written `00:16:3e:01:02:03`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Mac, ParseIdError> {
        let bytes: Option<Vec<u8>> = text
            .split(':')
            .map(|byte| match byte.as_bytes() {
                [a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                    u8::from_str_radix(byte, 16).ok()
                }
                _ => None,
            })
            .collect();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Mac)
            .ok_or_else(|| ParseIdError { text: text.to_owned(), expected: "a MAC address" })
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Mac, ParseIdError> {
        text.parse()
    }
}

/// A network interface of a domain (`libxl_device_nic`), served by the kernel's
/// netback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Nic {
    /// Its address; libxl makes one up in Xen's range if there is none.
    pub mac: Option<Mac>,
    /// The bridge that the script shall put it on.
    pub bridge: Option<String>,
    /// The program that connects it in Dom0: absolute, or in Xen's script
    /// directory. None takes libxl's own choice, `vif-bridge`, a shell script.
    pub script: Option<PathBuf>,
    /// Its name in Dom0, if not `vifDOMID.DEVID`.
    pub ifname: Option<String>,
    /// Its MTU in bytes, if not 1492 (`LIBXL_DEVICE_NIC_MTU_DEFAULT`).
    pub mtu: Option<u32>,
}

/// An interface that a domain has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AttachedNic {
    /// Its number in the domain, from 0.
    pub devid: u32,
    /// What it is. `ifname` is not known.
    #[serde(flatten)]
    pub nic: Nic,
}

impl Ctx {
    /// Attaches an interface and returns its number (`libxl_device_nic_add`).
    pub fn attach_nic(&self, domid: DomId, nic: &Nic) -> Result<u32> {
        let mut raw = ffi::RawNic::new(nic)?;
        self.run(format_args!("attach a network interface to domain {domid}"), |ctx| {
            raw.attach(ctx, domid)
        })
    }

    /// Detaches an interface (`libxl_device_nic_remove`).
    pub fn detach_nic(&self, domid: DomId, devid: u32) -> Result<()> {
        self.run(format_args!("detach network interface {devid} from domain {domid}"), |ctx| {
            ffi::RawNic::find(ctx, domid, devid)?.detach(ctx, domid)
        })
    }

    /// The interfaces of a domain (`libxl_device_nic_list`).
    pub fn nics(&self, domid: DomId) -> Result<Vec<AttachedNic>> {
        self.run(format_args!("list the network interfaces of domain {domid}"), |ctx| {
            Ok(ffi::list_nics(ctx, domid))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_read() {
        let mac: Mac = "00:16:3E:0a:ff:01".parse().expect("an address");
        assert_eq!(mac.to_string(), "00:16:3e:0a:ff:01");
        for text in
            ["", "00:16:3e:0a:ff", "00:16:3e:0a:ff:01:02", "0:1:2:3:4:5", "+0:16:3e:0a:ff:01"]
        {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
