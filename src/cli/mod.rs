//! The command line: one file per verb.

pub mod domain;
pub mod domain_config;
