//! Small pieces of data that a toolstack keeps with a domain, in files of libxl's.

use super::{Ctx, DomId, Result, ffi};

impl Ctx {
    /// Keeps `bytes` under `key` for as long as the domain lives
    /// (`libxl_userdata_store`). No bytes remove what was there.
    pub fn userdata_store(&self, domid: DomId, key: &str, bytes: &[u8]) -> Result<()> {
        let c_key = ffi::c_string("key", key.as_bytes())?;
        self.run(format_args!("store {key} of domain {domid}"), |ctx| {
            ffi::userdata_store(ctx, domid, &c_key, bytes)
        })
    }

    /// What is kept under `key`, if anything (`libxl_userdata_retrieve`).
    pub fn userdata_retrieve(&self, domid: DomId, key: &str) -> Result<Option<Vec<u8>>> {
        let c_key = ffi::c_string("key", key.as_bytes())?;
        self.run(format_args!("retrieve {key} of domain {domid}"), |ctx| {
            ffi::userdata_retrieve(ctx, domid, &c_key)
        })
    }
}
