//! Virtual network interfaces.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
pub use vxn_link::Mac;

use super::{Ctx, DomId, Result, ffi};

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
    /// Attaches an interface and returns its number (`libxl_device_nic_add`). What
    /// is half-done after a failure is removed.
    pub fn attach_nic(&self, domid: DomId, nic: &Nic) -> Result<u32> {
        let mut raw = ffi::RawNic::new(nic)?;
        let attached = self
            .run(format_args!("attach a network interface to domain {domid}"), |ctx| {
                raw.attach(ctx, domid)
            });
        if raw.is_numbered() {
            self.remove_half_attached(&attached, domid, |ctx| raw.detach(ctx, domid));
        }
        attached
    }

    /// Detaches an interface (`libxl_device_nic_remove`).
    pub fn detach_nic(&self, domid: DomId, devid: u32) -> Result<()> {
        self.run(format_args!("detach network interface {devid} from domain {domid}"), |ctx| {
            ffi::RawNic::find(ctx, domid, devid)?.detach(ctx, domid)
        })
    }

    /// Takes an interface away without waiting for the guest, which may be paused
    /// (`libxl_device_nic_destroy`).
    pub fn pull_nic(&self, domid: DomId, devid: u32) -> Result<()> {
        self.run(format_args!("pull network interface {devid} out of domain {domid}"), |ctx| {
            ffi::RawNic::find(ctx, domid, devid)?.pull(ctx, domid)
        })
    }

    /// The interfaces of a domain (`libxl_device_nic_list`).
    pub fn nics(&self, domid: DomId) -> Result<Vec<AttachedNic>> {
        self.run(format_args!("list the network interfaces of domain {domid}"), |ctx| {
            Ok(ffi::list_nics(ctx, domid))
        })
    }
}
