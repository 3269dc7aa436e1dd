//! The engine: one container is one DomU at a time, owned by one monitor process
//! for as long as it lives.
//!
//! `docs/architecture.md` walks through a run. What a container is:
//! [`definition`], [`store`], [`condition`], [`layer`], [`log`]. A life of it:
//! [`plan`] decides, [`front`] starts the [`monitor`], which acts; [`journal`]
//! remembers and [`reap`] clears up after a crash. Everybody else talks to the
//! monitor by [`control`], or stays with it in a [`talk`].

mod apart;
mod attend;
pub mod bundle;
pub mod condition;
pub(crate) mod console;
pub mod control;
pub mod cpu;
pub mod definition;
mod desk;
pub mod devices;
pub mod failure_log;
pub mod files;
pub mod front;
pub mod health;
pub mod hold;
mod id;
pub mod images;
pub mod journal;
pub mod keys;
pub mod layer;
mod life;
pub mod log;
pub mod monitor;
pub mod mounts;
pub mod names;
pub mod network;
pub mod news;
pub mod order;
mod place;
pub mod plan;
pub mod process;
pub mod reap;
pub mod report;
mod resolv;
pub mod restart;
mod shares;
pub mod store;
mod streams;
pub(crate) mod sys;
pub mod talk;
pub mod terminal;
pub mod usage;
pub mod volumes;
pub mod write_back;

pub use id::{ContainerId, Name};
