//! A channel whose both ends are in Dom0: grants and event channels of Xen's.

use std::io;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vxn::xenstore::Xenstore;
use xen_vchan::{Error, State, Vchan};

use crate::inside;

const SIZE: usize = 3 << 20;

fn path(name: &str) -> String {
    format!("/local/domain/0/vxn-test-{name}-{}", std::process::id())
}

/// Waits for an event, at most a minute.
fn wait(channel: &Vchan) {
    let timeout = PollTimeout::try_from(Duration::from_secs(60)).expect("small");
    let mut fds = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, timeout).expect("poll"), 1, "no event in {:?}", channel.state());
    channel.acknowledge().expect("events can be taken");
}

fn until_ready(
    channel: &mut Vchan,
    mut action: impl FnMut(&mut Vchan) -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        match action(channel) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => wait(channel),
            result => return result,
        }
    }
}

fn bytes(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|i| (i % 251) as u8).collect()
}

fn echo(mut channel: Vchan) {
    let mut buf = [0; 5000];
    loop {
        let n = until_ready(&mut channel, |c| c.read(&mut buf)).expect("a good ring");
        if n == 0 {
            return;
        }
        let mut left = &buf[..n];
        while !left.is_empty() {
            let n = until_ready(&mut channel, |c| c.write(left)).expect("a good ring");
            left = &left[n..];
        }
    }
}

#[test]
fn megabytes_come_back_as_they_were_sent() {
    inside::dom0(|| {
        let path = path("echo");
        for ring in [100, 4096, 100_000] {
            let server = Vchan::serve(0, &path, ring, ring).expect("a server");
            assert_eq!(server.state(), State::Waiting);
            let server = thread::spawn(move || echo(server));
            let mut client = Vchan::connect(0, &path).expect("a client");
            assert_eq!(client.state(), State::Connected);
            let (mut sent, mut received, mut buf) = (0, 0, [0; 7000]);
            while received < SIZE {
                let next = bytes(sent, (SIZE - sent).min(6000));
                let wrote = match client.write(&next) {
                    Ok(n) => n,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
                    Err(e) => panic!("{e}"),
                };
                sent += wrote;
                match client.read(&mut buf) {
                    Ok(n) => {
                        assert_eq!(buf[..n], bytes(received, n), "at {received}");
                        received += n;
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock && wrote == 0 => wait(&client),
                    Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
                }
            }
            drop(client);
            server.join().expect("the server has seen the end");
        }
    });
}

#[test]
fn the_end_of_a_server_is_seen() {
    inside::dom0(|| {
        let path = path("end");
        let mut server = Vchan::serve(0, &path, 4096, 4096).expect("a server");
        let mut client = Vchan::connect(0, &path).expect("a client");
        server.write(b"last words").expect("room");
        drop(server);
        let mut buf = [0; 64];
        let n = until_ready(&mut client, |c| c.read(&mut buf)).expect("what came before");
        assert_eq!(&buf[..n], b"last words");
        assert_eq!(until_ready(&mut client, |c| c.read(&mut buf)).expect("the end"), 0);
        assert_eq!(client.state(), State::Closed);
        let error = client.write(b"x").expect_err("closed");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let store = Xenstore::open().expect("xenstore");
        assert_eq!(store.directory(&path).expect("an answer"), None);
        assert!(matches!(Vchan::connect(0, &path), Err(Error::NoServer(p)) if p == path));
    });
}

#[test]
fn running_out_of_grants_is_an_error() {
    inside::dom0(|| {
        let path = path("grants");
        let mut servers = Vec::new();
        let error = loop {
            // Dom0 shares 1024 pages at most, unless told otherwise.
            match Vchan::serve(0, &path, 1 << 20, 1 << 20) {
                Ok(server) => servers.push(server),
                Err(e) => break e,
            }
            assert!(servers.len() < 100, "there is no limit");
        };
        assert!(matches!(error, Error::Share { .. }), "{error}");
        drop(servers);
        Vchan::serve(0, &path, 1 << 20, 1 << 20).expect("the pages are free again");
    });
}
