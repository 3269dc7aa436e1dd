//! `libxl_device_p9`, filled from our own.
#![expect(unsafe_code)]

#[cfg(libxl_have = "XEN_9PFS")]
use xen_sys::{LIBXL_P9_TYPE_QEMU, LIBXL_P9_TYPE_XEN_9PFSD};
use xen_sys::{libxl_device_p9, libxl_device_p9_init, libxl_domain_config};

use super::alloc::{path, string, zeroed};
use crate::libxl::{Error, Share, ShareServer, Shares};

/// The only model of all servers: owners and modes are those of the files.
const SECURITY_MODEL: &[u8] = b"none";

/// Adds the directories, and what serves them.
pub fn fill_shares(raw: &mut libxl_domain_config, shares: &Shares) -> Result<(), Error> {
    if let ShareServer::Qemu(program) = &shares.server {
        raw.b_info.device_model = path("path of QEMU", program)?;
    }
    raw.p9s = zeroed(shares.shares.len());
    for (i, share) in shares.shares.iter().enumerate() {
        // SAFETY: room for all; the count says how many are initialised.
        let raw_share = unsafe { &mut *raw.p9s.add(i) };
        // SAFETY: the function overwrites all of it.
        unsafe { libxl_device_p9_init(raw_share) };
        raw.num_p9s += 1;
        fill_share(raw_share, share)?;
        #[cfg(libxl_have = "XEN_9PFS")]
        {
            raw_share.type_ = match shares.server {
                ShareServer::Qemu(_) => LIBXL_P9_TYPE_QEMU,
                ShareServer::Xen9pfsd => LIBXL_P9_TYPE_XEN_9PFSD,
            };
        }
    }
    Ok(())
}

fn fill_share(raw: &mut libxl_device_p9, share: &Share) -> Result<(), Error> {
    raw.tag = string("tag of a share", share.tag.as_bytes())?;
    raw.path = path("path of a share", &share.path)?;
    raw.security_model = string("security model", SECURITY_MODEL)?;
    Ok(())
}
