//! Sends back what arrives on a channel, or sends standard input and prints what
//! comes back: `echo serve DOMID PATH` in one domain, `echo connect DOMID PATH` in
//! the other one.

use std::error::Error;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use xen_vchan::Vchan;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [mode, domid, path] = args.as_slice() else {
        return Err("usage: echo serve|connect DOMID PATH".into());
    };
    match mode.as_str() {
        "serve" => serve(Vchan::serve(domid.parse()?, path, 1 << 16, 1 << 16)?),
        "connect" => send(Vchan::connect(domid.parse()?, path)?),
        _ => Err(format!("{mode}: neither serve nor connect").into()),
    }
}

fn serve(mut channel: Vchan) -> Result<()> {
    let mut buf = [0; 1 << 16];
    loop {
        match until_ready(&mut channel, |c| c.read(&mut buf))? {
            0 => return Ok(()),
            n => write_all(&mut channel, &buf[..n])?,
        }
    }
}

fn send(mut channel: Vchan) -> Result<()> {
    let (mut buf, mut back) = ([0; 1 << 15], [0; 1 << 15]);
    loop {
        let n = io::stdin().read(&mut buf)?;
        if n == 0 {
            return Ok(());
        }
        write_all(&mut channel, &buf[..n])?;
        let mut received = 0;
        while received < n {
            let got = until_ready(&mut channel, |c| c.read(&mut back))?;
            if got == 0 {
                return Err("the other end has closed the channel".into());
            }
            io::stdout().write_all(&back[..got])?;
            received += got;
        }
    }
}

fn write_all(channel: &mut Vchan, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let n = until_ready(channel, |c| c.write(bytes))?;
        bytes = &bytes[n..];
    }
    Ok(())
}

/// Repeats `action` until it does not answer `WouldBlock`, waiting in between.
fn until_ready<T>(
    channel: &mut Vchan,
    mut action: impl FnMut(&mut Vchan) -> io::Result<T>,
) -> Result<T> {
    loop {
        match action(channel) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => wait(channel)?,
            result => return Ok(result?),
        }
    }
}

fn wait(channel: &Vchan) -> io::Result<()> {
    poll(&mut [PollFd::new(channel.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
    channel.acknowledge()
}
