//! Hands a ruleset to nft(8).

use std::io::Write;
use std::process::Stdio;

use super::error::{Error, Result};
use crate::tool::{self, NFT};

/// What nft says when the kernel has no nf_tables, or lacks a kind of expression
/// that the ruleset uses. Nothing in our rulesets refers to what is not in them,
/// so "no such file" can mean nothing else; nft fills its cache before it hands
/// anything over, which fails when there is nobody to ask.
const LACKING: [&str; 4] = [
    "Protocol not supported",
    "Operation not supported",
    "No such file or directory",
    "cache initialization failed",
];

/// Has the kernel take the whole ruleset, or nothing of it.
pub(super) fn apply(ruleset: &str) -> Result<()> {
    let io = |source| Error::Nft(tool::Error::Io { tool: NFT.name, source });
    tracing::debug!("nft ruleset:\n{ruleset}");
    let mut command = NFT.command()?;
    command.args(["-f", "-"]).stdin(Stdio::piped());
    let mut nft = NFT.start(&mut command)?;
    // nft reads it all before it answers, and says itself why if it does not.
    let written = nft.stdin().map_or(Ok(()), |mut stdin| stdin.write_all(ruleset.as_bytes()));
    nft.wait().map_err(explain)?;
    written.map_err(io)
}

fn explain(error: tool::Error) -> Error {
    match &error {
        tool::Error::Failed { words, .. } if LACKING.iter().any(|lack| words.contains(lack)) => {
            let words = words.lines().next().unwrap_or_default().trim().to_owned();
            Error::NoNfTables { words }
        }
        _ => Error::Nft(error),
    }
}
