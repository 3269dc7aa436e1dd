//! Network interface specifications (xl-network-configuration(5)).

use std::path::PathBuf;

use super::{to_path, utf8};

/// A network interface of a guest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vif {
    /// Random if not given.
    pub mac: Option<[u8; 6]>,
    /// The bridge in Dom0; libxl's default is `xenbr0`.
    pub bridge: Option<String>,
    /// Another hotplug program than vxn's own.
    pub script: Option<PathBuf>,
    /// Its name in Dom0; `vifDOMID.N` if not given.
    pub ifname: Option<String>,
    /// Bytes; that of the bridge if not given.
    pub mtu: Option<u32>,
}

/// The longest name of a network device: `IFNAMSIZ` less its NUL.
const MAX_NAME: usize = 15;

impl Vif {
    /// Reads one specification; an empty one is an interface with all defaults.
    pub fn parse(spec: &[u8]) -> Result<Vif, String> {
        let spec = utf8(spec)?;
        let mut vif = Vif::default();
        for parameter in spec.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (key, value) = parameter
                .split_once('=')
                .ok_or_else(|| format!("{parameter:?} is no KEY=VALUE"))?;
            match key {
                "mac" => vif.mac = Some(parse_mac(value)?),
                "bridge" => vif.bridge = Some(device_name(key, value)?),
                "script" => vif.script = Some(to_path(value.as_bytes())?),
                "vifname" => vif.ifname = Some(device_name(key, value)?),
                "mtu" => vif.mtu = Some(parse_mtu(value)?),
                _ => {
                    return Err(format!(
                        "parameter {key:?} is not supported (known: mac, bridge, script, vifname, mtu)"
                    ));
                }
            }
        }
        Ok(vif)
    }
}

/// `00:16:3e:01:02:03`, an address of one interface.
fn parse_mac(text: &str) -> Result<[u8; 6], String> {
    let bad = || format!("mac {text:?} is not the address of an interface");
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|p| !p.is_empty() && !p.starts_with('+'));
        *byte = part.and_then(|p| u8::from_str_radix(p, 16).ok()).ok_or_else(bad)?;
    }
    // A set lowest bit means a group of interfaces.
    if parts.next().is_some() || mac[0] & 1 != 0 {
        return Err(bad());
    }
    Ok(mac)
}

/// What Linux takes as the name of a network device (`dev_valid_name`).
fn device_name(key: &str, name: &str) -> Result<String, String> {
    let plain = |c: char| c != '/' && c != ':' && !c.is_whitespace() && !c.is_control();
    let fits = !name.is_empty() && name.len() <= MAX_NAME && name != "." && name != "..";
    match fits && name.chars().all(plain) {
        true => Ok(name.to_owned()),
        false => Err(format!("{key} {name:?} cannot be the name of a network device")),
    }
}

fn parse_mtu(text: &str) -> Result<u32, String> {
    let mtu = text.parse().ok().filter(|mtu| (68..=65535).contains(mtu));
    mtu.ok_or_else(|| format!("mtu {text:?} is not a number from 68 to 65535"))
}
