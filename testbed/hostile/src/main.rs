//! PID 1 of a DomU that attacks its Dom0: it says hello as vxn-init does, and what it
//! does then is the container's host name. Tests put it into an initramfs of its own.

mod nine;
mod wire;

use std::process::ExitCode;

use vxn_init::boot::{Dom0, boot};
use vxn_proto::{
    ExitStatus, MAX_DATA, ProcessId, StreamId, ToGuest, ToHost, WINDOW, encode_data, encode_message,
};
use wire::{Result, Wire};

/// Bytes of garbage.
const GARBAGE: usize = 1 << 20;

/// PID 1 that returns makes the kernel panic: Dom0 is to end this guest.
fn main() -> ExitCode {
    match attack() {
        // The channel stays open: it is for Dom0 to close it.
        Ok(_wire) => loop {
            nix::unistd::pause();
        },
        Err(error) => {
            eprintln!("hostile guest: {error}");
            ExitCode::FAILURE
        }
    }
}

fn attack() -> Result<Wire> {
    let (_modules, _disks) = boot()?;
    let mut wire = Wire::new(Dom0::connect()?);
    let how = wire.greet()?;
    let first = ProcessId(0);
    let exited = ToHost::Exited { process: first, status: ExitStatus::Code(0), oom_killed: false };
    let bytes = match how.as_str() {
        "garbage" => garbage(),
        // A body of four GiB on the control stream, which never comes.
        "announces" => [u32::MAX, 0].map(u32::to_le_bytes).concat(),
        // The end of a process, and then its output.
        "forges" => {
            let mut bytes = [started(first)?, frame(&exited)?].concat();
            encode_data(StreamId::stdout(ProcessId(77)), b"not mine", &mut bytes);
            bytes
        }
        // Answers that nobody asked for.
        "answers" => frame(&ToHost::Networked { error: None })?.repeat(1000),
        // Output without waiting for the host.
        "overruns" => {
            let mut bytes = started(first)?;
            for _ in 0..=WINDOW as usize / MAX_DATA {
                encode_data(StreamId::stdout(first), &[b'x'; MAX_DATA], &mut bytes);
            }
            bytes
        }
        // Leave for more of stdin than was ever sent.
        "lends" => {
            let window = ToHost::Window { stream: StreamId::stdin(first), bytes: WINDOW + 1 };
            [started(first)?, frame(&window)?].concat()
        }
        // It runs, and never reads or writes again.
        "deaf" => started(first)?,
        // It takes no network.
        "refuses" => {
            wire.send(&started(first)?)?;
            loop {
                if let ToGuest::Network(_) = wire.hear()? {
                    wire.say(&ToHost::Networked { error: Some("not with me".to_owned()) })?;
                }
            }
        }
        // It asks its share for Dom0's files, and says what it got.
        "climbs" => {
            let message = nine::climb()?;
            frame(&ToHost::Failed { message })?
        }
        other => return Err(format!("{other:?} is no attack").into()),
    };
    wire.send(&bytes)?;
    Ok(wire)
}

/// A guest that is set up and runs its process.
fn started(process: ProcessId) -> Result<Vec<u8>> {
    Ok([frame(&ToHost::Configured)?, frame(&ToHost::Started { process, pid: 1 })?].concat())
}

fn frame(message: &ToHost) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    encode_message(message, &mut bytes)?;
    Ok(bytes)
}

/// The same each time, so that a finding can be found again.
fn garbage() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(GARBAGE);
    while bytes.len() < GARBAGE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}
