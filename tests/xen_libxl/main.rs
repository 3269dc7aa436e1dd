//! The libxl, xenstore and vchan wrappers on real Xen.
//!
//! Every test runs inside Dom0: on the host, [`inside::dom0`] copies this test
//! binary there and has it run the one test.

mod devices;
mod domains;
mod events;
mod guest;
mod host;
mod inside;
mod vchan;
mod xenstore;
