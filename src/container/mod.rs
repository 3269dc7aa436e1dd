//! The engine: one container is one DomU, owned by one monitor process.
//!
//! `docs/architecture.md` walks through a run; [`plan`] decides, [`front`] and
//! [`monitor`] act, [`journal`] remembers and [`reap`] clears up after a crash.

mod attend;
pub mod bundle;
pub(crate) mod console;
pub mod front;
mod id;
pub mod images;
pub mod journal;
pub mod monitor;
pub mod network;
pub mod plan;
pub mod reap;
pub mod report;
mod streams;
pub(crate) mod sys;

pub use id::{ContainerId, Name};
