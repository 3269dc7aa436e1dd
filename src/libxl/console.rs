//! The console of a domain.

use std::path::PathBuf;

use super::{Ctx, DomId, Result, ffi};

impl Ctx {
    /// The terminal in Dom0 that is hvc0 in the domain
    /// (`libxl_primary_console_get_tty`). Whoever reads it takes the bytes away
    /// from other readers.
    pub fn console_tty(&self, domid: DomId) -> Result<PathBuf> {
        self.run(format_args!("find the console of domain {domid}"), |ctx| {
            ffi::console_tty(ctx, domid)
        })
    }
}
