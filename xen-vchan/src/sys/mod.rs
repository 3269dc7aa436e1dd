//! The C libraries under a channel. All the unsafe code of this crate is here.

mod event;
mod grant;
mod memory;
mod store;

use std::io;
use std::sync::OnceLock;

use xen_sys::Logger;

pub use event::EventChannel;
pub use grant::{GrantClient, GrantServer};
pub use memory::Memory;
#[cfg(test)]
pub use memory::fake;
pub use store::Store;

/// A logger that drops what the libraries say, as they would print it to standard
/// error; the error number says the same. It lives as long as the process.
fn quiet() -> io::Result<&'static Logger> {
    static QUIET: OnceLock<Logger> = OnceLock::new();
    if QUIET.get().is_none() {
        let logger = Logger::new(|_| {})?;
        drop(QUIET.set(logger)); // a second thread may have been first
    }
    Ok(QUIET.get().expect("set above"))
}
