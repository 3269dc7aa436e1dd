//! A native Xen toolstack on libxl, and on it a container engine that runs OCI
//! containers as Xen DomUs. `docs/architecture.md` has the map of the rooms.

pub mod cli;
pub mod config;
pub mod container;
pub mod events;
pub mod guest;
pub mod hotplug;
pub mod image;
pub mod kernel;
pub mod libxl;
pub mod network;
pub mod oci;
pub mod seccomp;
pub mod share;
pub mod state;
pub mod tool;
pub mod vcontainer;
pub mod volume;
pub mod xenstore;
