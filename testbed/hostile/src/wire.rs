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
pub struct Wire {
    dom0: Dom0,
    decoder: Decoder<ToGuest>,
    /// What has come and was not looked at.
    rest: Vec<u8>,
}

impl Wire {
    pub fn new(dom0: Dom0) -> Wire {
        Wire { dom0, decoder: Decoder::new(), rest: Vec::new() }
    }

    /// Says hello, and returns the host name that the guest is to have.
    pub fn greet(&mut self) -> Result<String> {
        self.say(&ToHost::Hello { min: MIN_VERSION, max: VERSION, kernel: "hostile".to_owned() })?;
        loop {
            if let ToGuest::Configure(it) = self.hear()? {
                return Ok(it.hostname);
            }
        }
    }

    /// Sends a message.
    pub fn say(&mut self, message: &ToHost) -> Result<()> {
        let mut bytes = Vec::new();
        encode_message(message, &mut bytes)?;
        self.send(&bytes)
    }

    /// The next message.
    pub fn hear(&mut self) -> Result<ToGuest> {
        loop {
            if self.rest.is_empty() {
                self.rest = self.receive()?;
            }
            let mut bytes = &self.rest[..];
            let frame = self.decoder.decode(&mut bytes)?;
            let taken = self.rest.len() - bytes.len();
            self.rest.drain(..taken);
            if let Some(Frame::Message(message)) = frame {
                return Ok(message);
            }
        }
    }

    /// Sends all of it. A host that has gone is none of our sorrows.
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match self.dom0.write(bytes) {
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
            match self.dom0.read(&mut buffer) {
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
        poll(&mut [PollFd::new(self.dom0.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
        Ok(self.dom0.acknowledge()?)
    }
}
