//! How much memory there is and how much a domain takes.

use super::{Ctx, DomId, DomainConfig, Error, Result, ffi};

impl Ctx {
    /// The host memory that this domain would take, in KiB
    /// (`libxl_domain_need_memory`): its own and the hypervisor's for it.
    pub fn need_memory_kib(&self, config: &DomainConfig) -> Result<u64> {
        let mut raw = ffi::RawConfig::new(config)?;
        self.run(format_args!("tell how much memory {:?} needs", config.name), |ctx| {
            raw.need_memory_kib(ctx)
        })
    }

    /// The host memory that nobody has, in KiB (`libxl_get_free_memory`). Memory
    /// that somebody else has claimed but not taken yet still counts as free.
    pub fn free_memory_kib(&self) -> Result<u64> {
        self.run(format_args!("tell how much memory is free"), ffi::free_memory_kib)
    }

    /// Asks a domain's guest to have so much memory in KiB, at most what it was
    /// created with (`libxl_set_memory_target`). The guest gives it back, or takes it,
    /// in its own time.
    pub fn set_memory_target(&self, domid: DomId, kib: u64) -> Result<()> {
        self.run(format_args!("set the memory of domain {domid}"), |ctx| {
            ffi::set_memory_target(ctx, domid, kib)
        })
    }

    /// Fails with [`Error::NotEnoughMemory`] if the domain would not fit now.
    pub fn check_memory(&self, config: &DomainConfig) -> Result<()> {
        let (need, free) = (self.need_memory_kib(config)?, self.free_memory_kib()?);
        if need <= free {
            return Ok(());
        }
        let name = config.name.clone();
        Err(Error::NotEnoughMemory { name, need_mib: need.div_ceil(1024), free_mib: free / 1024 })
    }
}
