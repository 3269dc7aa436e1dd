//! `vxn login`, `vxn logout`: skopeo keeps the credentials.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::RegistryFlags;
use crate::cli::failure::Hint;
use crate::config::Settings;
use crate::image::login::{self, Login};

/// `vxn login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// User name; asked for if it is missing.
    #[arg(short, long)]
    username: Option<String>,
    /// Password; other users can see it, so better use --password-stdin.
    #[arg(short, long, conflicts_with = "password_stdin")]
    password: Option<String>,
    /// Read the password from stdin.
    #[arg(long, requires = "username")]
    password_stdin: bool,
    #[command(flatten)]
    flags: RegistryFlags,
    /// Which registry; the one of the settings if none is given.
    registry: Option<String>,
}

/// `vxn logout`.
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Credentials, in place of those that `vxn login` keeps.
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Forget all registries.
    #[arg(short, long, conflicts_with = "registry")]
    all: bool,
    /// Which registry; the one of the settings if none is given.
    registry: Option<String>,
}

/// Runs `vxn login`.
pub fn login(args: &LoginArgs, settings: &Settings) -> Result<ExitCode> {
    if args.password.is_some() && args.username.is_none() {
        return Err(anyhow::anyhow!("--password needs --username"))
            .context(Hint("vxn login -u USER -p PASSWORD REGISTRY".to_owned()));
    }
    login::login(&Login {
        registry: args.registry.as_ref().unwrap_or(&settings.registry.value),
        username: args.username.as_deref(),
        password: args.password.as_deref(),
        password_stdin: args.password_stdin,
        authfile: args.flags.authfile.as_deref(),
        tls_verify: args.flags.tls_verify,
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `vxn logout`.
pub fn logout(args: &LogoutArgs, settings: &Settings) -> Result<ExitCode> {
    let registry = args.registry.as_ref().unwrap_or(&settings.registry.value);
    login::logout((!args.all).then_some(registry.as_str()), args.authfile.as_deref())?;
    Ok(ExitCode::SUCCESS)
}
