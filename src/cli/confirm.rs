//! Asking before what cannot be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, Result, anyhow};

use super::failure::Hint;

/// Asks, as docker does.
///
/// # Errors
/// Nobody is there to answer.
pub fn sure(warning: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(anyhow!("nobody is there to confirm")).context(Hint("use --force".to_owned()));
    }
    println!("WARNING! {warning}");
    print!("Are you sure you want to continue? [y/N] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
