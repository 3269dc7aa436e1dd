//! The monitor's side: everybody who is connected, none of whom it waits for.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::{fs, mem};

use nix::poll::PollFlags;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use vxn_proto::{Decoder, Frame, ReceiveWindow, StreamId, StreamKind};

use super::message::{STREAMS, ToClient, ToMonitor};

/// Clients at a time; more are turned away.
const MAX_CLIENTS: usize = 64;
/// Bytes read from a client before the others have their turn.
const BATCH: usize = 64 * 1024;

/// One connection, for as long as the monitor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(u32);

/// What a client has said.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Message(ToMonitor),
    /// Bytes for the stdin of its process.
    Stdin(Vec<u8>),
    /// There is no more stdin.
    StdinEnd,
    /// The client is gone. Nothing comes after this.
    Gone,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    decoder: Decoder<ToMonitor>,
    stdin: ReceiveWindow,
    outbox: Vec<u8>,
    broken: bool,
}

/// All clients, and the socket on which they come.
#[derive(Debug)]
pub struct Clients {
    listener: UnixListener,
    all: BTreeMap<ClientId, Client>,
    next: u32,
}

impl Clients {
    /// Listens at `path`, as root alone.
    pub fn listen(path: &Path) -> io::Result<Clients> {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Clients { listener, all: BTreeMap::new(), next: 0 })
    }

    /// Takes in a client that was connected in another way.
    pub fn adopt(&mut self, stream: UnixStream) -> io::Result<ClientId> {
        stream.set_nonblocking(true)?;
        let id = ClientId(self.next);
        self.next += 1;
        let (decoder, stdin) = (Decoder::new(), ReceiveWindow::new());
        let client = Client { stream, decoder, stdin, outbox: Vec::new(), broken: false };
        self.all.insert(id, client);
        Ok(id)
    }

    /// What to poll for.
    pub fn interest(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let client = |client: &'_ Client| {
            let idle = client.outbox.is_empty();
            if idle { PollFlags::POLLIN } else { PollFlags::POLLIN | PollFlags::POLLOUT }
        };
        let listener = (self.listener.as_fd(), PollFlags::POLLIN);
        let clients = self.all.values().map(|c| (c.stream.as_fd(), client(c)));
        std::iter::once(listener).chain(clients).collect()
    }

    /// Takes what has come, and who has come.
    pub fn hear(&mut self) -> Vec<(ClientId, Heard)> {
        self.accept();
        let mut heard = Vec::new();
        for (&id, client) in &mut self.all {
            client.hear(|said| heard.push((id, said)));
        }
        for (id, _) in heard.iter().filter(|(_, said)| matches!(said, Heard::Gone)) {
            self.all.remove(id);
        }
        heard
    }

    /// Takes in who has come.
    pub fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) if self.all.len() < MAX_CLIENTS && is_root(&stream) => {
                    if let Err(e) = self.adopt(stream) {
                        tracing::warn!("a client: {e}");
                    }
                }
                Ok(_) => tracing::warn!("a client was turned away"),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Queues a message.
    pub fn tell(&mut self, id: ClientId, message: &ToClient) {
        if let Some(client) = self.all.get_mut(&id) {
            if let Err(e) = vxn_proto::encode_message(message, &mut client.outbox) {
                tracing::error!("a message for a client: {e}");
                client.broken = true;
            }
        }
    }

    /// Queues output. The stream's window bounds what waits here.
    pub fn output(&mut self, id: ClientId, kind: StreamKind, bytes: &[u8]) {
        if let Some(client) = self.all.get_mut(&id) {
            let stream = StreamId { process: STREAMS, kind };
            vxn_proto::encode_data(stream, bytes, &mut client.outbox);
        }
    }

    /// Queues the end of an output.
    pub fn output_end(&mut self, id: ClientId, kind: StreamKind) {
        if let Some(client) = self.all.get_mut(&id) {
            vxn_proto::encode_eof(StreamId { process: STREAMS, kind }, &mut client.outbox);
        }
    }

    /// Says that so many bytes of the client's stdin were handed on.
    pub fn consumed(&mut self, id: ClientId, bytes: usize) {
        let credit = self.all.get_mut(&id).and_then(|client| client.stdin.consumed(bytes));
        if let Some(bytes) = credit {
            self.tell(id, &ToClient::Window { bytes });
        }
    }

    /// Everybody.
    pub fn ids(&self) -> Vec<ClientId> {
        self.all.keys().copied().collect()
    }

    /// Sends what can be sent without waiting.
    pub fn flush(&mut self) {
        self.all.values_mut().for_each(Client::flush);
    }

    /// Sends everything to everybody and hangs up: the monitor is about to end.
    /// A client that takes nothing for five seconds misses its last message.
    pub fn finish(mut self) {
        for client in self.all.values_mut().filter(|client| !client.broken) {
            let timeout = Some(std::time::Duration::from_secs(5));
            let stream = &mut client.stream;
            let sent = stream
                .set_nonblocking(false)
                .and_then(|()| stream.set_write_timeout(timeout))
                .and_then(|()| stream.write_all(&mem::take(&mut client.outbox)));
            if let Err(e) = sent {
                tracing::debug!("a client's last message: {e}");
            }
        }
    }
}

/// The socket is root's already; this holds for one that was opened up too.
fn is_root(stream: &UnixStream) -> bool {
    getsockopt(&stream.as_fd(), PeerCredentials).is_ok_and(|peer| peer.uid() == 0)
}

impl Client {
    fn hear(&mut self, mut each: impl FnMut(Heard)) {
        let mut buffer = [0; 16 * 1024];
        let mut taken = 0;
        while taken < BATCH && !self.broken {
            let length = match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.broken = true;
                    break;
                }
                Ok(length) => length,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => {
                    self.broken = true;
                    break;
                }
            };
            taken += length;
            self.decode(&buffer[..length], &mut each);
        }
        if self.broken {
            each(Heard::Gone);
        }
    }

    fn decode(&mut self, mut input: &[u8], each: &mut impl FnMut(Heard)) {
        loop {
            match self.decoder.decode(&mut input) {
                Ok(None) => return,
                Ok(Some(Frame::Message(message))) => each(Heard::Message(message)),
                Ok(Some(Frame::Eof { stream })) if stream == StreamId::stdin(STREAMS) => {
                    each(Heard::StdinEnd);
                }
                Ok(Some(Frame::Data { stream, body }))
                    if stream == StreamId::stdin(STREAMS)
                        && self.stdin.received(body.len()).is_ok() =>
                {
                    each(Heard::Stdin(body));
                }
                _ => {
                    tracing::warn!("a client does not keep to the protocol");
                    self.broken = true;
                    return;
                }
            }
        }
    }

    fn flush(&mut self) {
        let mut sent = 0;
        while sent < self.outbox.len() && !self.broken {
            match self.stream.write(&self.outbox[sent..]) {
                Ok(length) => sent += length,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Its end is heard with the next read.
                Err(_) => {
                    self.outbox.clear();
                    break;
                }
            }
        }
        self.outbox.drain(..sent.min(self.outbox.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected() -> (tempfile::TempDir, Clients, UnixStream) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let clients = Clients::listen(&path).unwrap();
        let stream = UnixStream::connect(&path).unwrap();
        (dir, clients, stream)
    }

    #[test]
    fn a_client_is_heard_answered_and_missed() {
        let (_dir, mut clients, mut stream) = connected();
        let mut bytes = Vec::new();
        vxn_proto::encode_message(&ToMonitor::Wait, &mut bytes).unwrap();
        vxn_proto::encode_data(StreamId::stdin(STREAMS), b"in", &mut bytes);
        stream.write_all(&bytes).unwrap();
        let heard = clients.hear();
        let [(id, Heard::Message(ToMonitor::Wait)), (_, Heard::Stdin(body))] = &heard[..] else {
            panic!("{heard:?}");
        };
        assert_eq!(body, b"in");
        clients.tell(*id, &ToClient::Done);
        clients.flush();
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).unwrap();
        let frame = Decoder::<ToClient>::new().decode(&mut &answer[..length]).unwrap();
        assert_eq!(frame, Some(Frame::Message(ToClient::Done)));
        drop(stream);
        assert!(matches!(clients.hear()[..], [(_, Heard::Gone)]));
        assert!(clients.hear().is_empty());
    }

    #[test]
    fn who_comes_at_the_last_moment_hears_the_last_word() {
        let (_dir, mut clients, mut stream) = connected();
        let mut bytes = Vec::new();
        vxn_proto::encode_message(&ToMonitor::Wait, &mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        clients.accept();
        clients.ids().into_iter().for_each(|id| clients.tell(id, &ToClient::Done));
        clients.finish();
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).unwrap();
        let frame = Decoder::<ToClient>::new().decode(&mut &answer[..length]).unwrap();
        assert_eq!(frame, Some(Frame::Message(ToClient::Done)));
    }

    #[test]
    fn rubbish_ends_a_client_and_nothing_else() {
        let (dir, mut clients, mut stream) = connected();
        let mut other = UnixStream::connect(dir.path().join("s")).unwrap();
        stream.write_all(&[0xff; 64]).unwrap();
        assert!(matches!(clients.hear()[..], [(_, Heard::Gone)]));
        let mut bytes = Vec::new();
        vxn_proto::encode_message(&ToMonitor::Pause, &mut bytes).unwrap();
        other.write_all(&bytes).unwrap();
        assert!(matches!(clients.hear()[..], [(_, Heard::Message(ToMonitor::Pause))]));
    }

    #[test]
    fn stdin_beyond_the_window_ends_a_client() {
        let (_dir, mut clients, mut stream) = connected();
        stream.set_nonblocking(true).unwrap();
        let mut bytes = Vec::new();
        let window = vxn_proto::WINDOW as usize;
        vxn_proto::encode_data(StreamId::stdin(STREAMS), &vec![0; window + 1], &mut bytes);
        let (mut sent, mut got, mut gone) = (0, 0, false);
        while !gone {
            sent += stream.write(&bytes[sent..]).unwrap_or(0);
            for (_, heard) in clients.hear() {
                match heard {
                    Heard::Stdin(body) => got += body.len(),
                    Heard::Gone => gone = true,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(got <= window, "{got}");
    }

    #[test]
    fn too_many_are_turned_away() {
        let (dir, mut clients, _stream) = connected();
        let others: Vec<UnixStream> = (0..MAX_CLIENTS)
            .map(|_| {
                let stream = UnixStream::connect(dir.path().join("s")).unwrap();
                clients.hear();
                stream
            })
            .collect();
        assert_eq!(clients.ids().len(), MAX_CLIENTS);
        drop(others);
    }
}
