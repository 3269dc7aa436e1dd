//! A channel to Dom0, without vxn-init's good manners.

use std::error::Error;
use std::io;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vxn_init::boot::Dom0;
use vxn_init::channel::Transport;
use vxn_proto::{Decoder, Frame, MIN_VERSION, ToGuest, ToHost, VERSION, encode_message};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The channel, or a share's.
pub struct Wire(Dom0);

impl Wire {
    pub fn new(dom0: Dom0) -> Wire {
        Wire(dom0)
    }

    /// Says hello, and returns the host name that the guest is to have.
    pub fn greet(&mut self) -> Result<String> {
        let hello = ToHost::Hello { min: MIN_VERSION, max: VERSION, kernel: "hostile".to_owned() };
        let mut bytes = Vec::new();
        encode_message(&hello, &mut bytes)?;
        self.send(&bytes)?;
        let mut decoder = Decoder::new();
        loop {
            let bytes = self.receive()?;
            if let Some(Frame::Message(ToGuest::Configure(it))) = decoder.decode(&mut &bytes[..])? {
                return Ok(it.hostname);
            }
        }
    }

    /// Sends all of it. A host that has gone is none of our sorrows.
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match self.0.write(bytes) {
                Ok(0) => break,
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// What has come, at least a byte.
    pub fn receive(&mut self) -> Result<Vec<u8>> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return Err("the host is gone".into()),
                Ok(count) => {
                    buffer.truncate(count);
                    return Ok(buffer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait(&mut self) -> Result<()> {
        poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        Ok(self.0.acknowledge()?)
    }
}
