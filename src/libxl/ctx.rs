//! The handle that everything goes through.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::event::Deaths;
use super::ffi::RawCtx;
use super::log::Lines;
use super::{Code, DomId, Error, Result};
use crate::xenstore::Xenstore;

const PRIVCMD: &str = "/dev/xen/privcmd";

/// A libxl context (`libxl_ctx`). It stays on its thread.
#[derive(Debug)]
pub struct Ctx {
    pub(super) raw: Rc<RawCtx>,
    pub(super) store: Xenstore,
    pub(super) deaths: Rc<Deaths>,
    lines: Lines,
}

impl Ctx {
    /// Opens a context (`libxl_ctx_alloc`). Children of this process that are not
    /// libxl's are left alone (`libxl_sigchld_owner_libxl_always_selective_reap`).
    ///
    /// What the host lacks is told apart: [`Error::NotOnXen`],
    /// [`Error::PermissionDenied`], [`xenstore::Error::NotRunning`] and
    /// [`xenstore::Error::PermissionDenied`].
    ///
    /// [`xenstore::Error::NotRunning`]: crate::xenstore::Error::NotRunning
    /// [`xenstore::Error::PermissionDenied`]: crate::xenstore::Error::PermissionDenied
    pub fn open() -> Result<Ctx> {
        check_privcmd(Path::new(PRIVCMD))?;
        let store = Xenstore::open()?;
        let lines = Lines::default();
        let raw = RawCtx::open(|| lines.logger()).map_err(|code| Error::Libxl {
            action: "open libxl".to_owned(),
            code,
            log: lines.take(),
        })?;
        Ok(Ctx { raw: Rc::new(raw), store, deaths: Rc::default(), lines })
    }

    /// Runs one operation and explains its failure.
    pub(super) fn run<T>(
        &self,
        action: fmt::Arguments<'_>,
        operation: impl FnOnce(&RawCtx) -> Result<T, Code>,
    ) -> Result<T> {
        self.lines.take();
        operation(&self.raw).map_err(|code| Error::Libxl {
            action: action.to_string(),
            code,
            log: self.lines.take(),
        })
    }

    /// libxl leaves the nodes of a device whose script failed; with them there, the
    /// device could be attached no more. The caller gets the error of the attachment.
    pub(super) fn remove_half_attached<T>(
        &self,
        attached: &Result<T>,
        domid: DomId,
        detach: impl FnOnce(&RawCtx) -> Result<(), Code>,
    ) {
        let Err(Error::Libxl { code, .. }) = attached else { return };
        if *code == Code::DEVICE_EXISTS {
            return;
        }
        if let Err(e) = self.run(format_args!("clean up in domain {domid}"), detach) {
            tracing::debug!("{e}");
        }
    }
}

/// libxl opens this device itself, but its error says nothing that helps.
fn check_privcmd(device: &Path) -> Result<()> {
    match OpenOptions::new().read(true).write(true).open(device) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            Err(Error::PermissionDenied { device: device.to_owned() })
        }
        Err(error) => Err(Error::NotOnXen { device: device.to_owned(), error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_means_no_xen() {
        let missing = check_privcmd(Path::new("/nonexistent/privcmd"));
        assert!(matches!(missing, Err(Error::NotOnXen { .. })), "{missing:?}");
    }
}
