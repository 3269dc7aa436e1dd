//! Both ends on pages of this process: what two domains do, without Xen.

use std::io;
use std::mem::offset_of;

use proptest::prelude::*;
use xen_sys::{ring_shared, vchan_interface};

use crate::State;
use crate::interface::Interface;
use crate::link::Link;
use crate::ring::{self, Ring};
use crate::sys::fake;

/// A server's end and a client's end of the same pages. The client takes the
/// orders of the rings from the page, as in life; its pages need no grants here.
fn pair(left: u16, right: u16) -> (Link, Link) {
    let (page, page_too) = fake::pages(1);
    let own_pages = |order| match ring::pages(order).expect("a ring of the protocol") {
        0 => (None, None),
        n => {
            let (one, two) = fake::pages(n);
            (Some(one), Some(two))
        }
    };
    let ((server_left, client_left), (server_right, client_right)) =
        (own_pages(left), own_pages(right));
    let grants = vec![7; ring::pages(left).unwrap_or(0) + ring::pages(right).unwrap_or(0)];

    let interface = Interface::new_server(page, left, right, &grants);
    let server =
        Link::new(Ring::left(left, server_left), Ring::right(right, server_right), interface);
    let interface = Interface::new_client(page_too);
    let layout = interface.layout().expect("a good layout");
    assert_eq!((layout.left_order, layout.right_order), (left, right));
    let client =
        Link::new(Ring::right(right, client_right), Ring::left(left, client_left), interface);
    (server, client)
}

fn connected(left: u16, right: u16) -> (Link, Link) {
    let (server, client) = pair(left, right);
    client.interface.announce_client();
    (server, client)
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
    result.expect_err("an error").kind()
}

#[test]
fn states_of_a_connection() {
    let (mut server, mut client) = pair(12, 12);
    assert_eq!(server.interface.peer_state(), State::Waiting);
    assert_eq!(client.interface.peer_state(), State::Connected);
    assert_eq!(server.write(b"early", || ()).expect("room"), 5);
    client.interface.announce_client();
    assert_eq!(server.interface.peer_state(), State::Connected);

    let mut buf = [0; 16];
    assert_eq!(client.read(&mut buf, || ()).expect("data"), 5);
    assert_eq!(kind(client.read(&mut buf, || ())), io::ErrorKind::WouldBlock);
    client.write(b"last words", || ()).expect("room");
    client.interface.leave();
    assert_eq!(server.interface.peer_state(), State::Closed);
    assert_eq!(server.read(&mut buf, || ()).expect("what came before"), 10);
    assert_eq!(server.read(&mut buf, || ()).expect("the end"), 0);
    assert_eq!(kind(server.write(b"x", || ())), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_peer_that_waits_is_notified_once() {
    let (mut server, mut client) = connected(12, 12);
    let (mut told, mut buf) = (0, [0; 8192]);
    assert_eq!(kind(server.read(&mut buf, || ())), io::ErrorKind::WouldBlock);
    client.write(b"one", || told += 1).expect("room");
    client.write(b"two", || told += 1).expect("room");
    assert_eq!(told, 1, "the reader asked once");

    assert_eq!(client.write(&[0; 8192], || ()).expect("room"), 4096 - 6);
    assert_eq!(kind(client.write(b"x", || ())), io::ErrorKind::WouldBlock);
    told = 0;
    assert_eq!(server.read(&mut buf, || told += 1).expect("data"), 4096);
    assert_eq!(told, 1, "the writer waits for room");
}

#[test]
fn impossible_indices_are_an_error() {
    let produced = offset_of!(vchan_interface, left) + offset_of!(ring_shared, prod);
    let consumed = offset_of!(vchan_interface, right) + offset_of!(ring_shared, cons);
    let (mut server, client) = connected(12, 12);
    for hostile in [4097, u32::MAX, 1 << 31] {
        client.interface.store(produced, hostile);
        assert_eq!(kind(server.read(&mut [0; 10], || ())), io::ErrorKind::InvalidData);
        client.interface.store(consumed, hostile.wrapping_neg());
        assert_eq!(kind(server.write(&[0; 10], || ())), io::ErrorKind::InvalidData);
    }
}

#[test]
fn a_peer_cannot_move_our_own_indices() {
    let consumed = offset_of!(vchan_interface, left) + offset_of!(ring_shared, cons);
    let (mut server, mut client) = connected(12, 12);
    client.write(b"abcdef", || ()).expect("room");
    let mut buf = [0; 3];
    server.read(&mut buf, || ()).expect("data");
    client.interface.store(consumed, 0);
    server.read(&mut buf, || ()).expect("data");
    assert_eq!(&buf, b"def");
}

#[test]
fn ring_shapes_that_the_protocol_does_not_have_are_refused() {
    for (left, right) in [(0, 12), (9, 12), (12, 21), (10, 10), (11, 11), (u16::MAX, 12)] {
        let (page, page_too) = fake::pages(1);
        let _server = Interface::new_server(page, left, right, &[]);
        assert!(Interface::new_client(page_too).layout().is_err(), "{left} {right}");
    }
}

#[test]
fn ring_sizes_are_rounded_up_and_bounded() {
    let order = |bytes| ring::order(bytes).ok();
    assert_eq!(order(0), Some(12));
    assert_eq!(order(4096), Some(12));
    assert_eq!(order(4097), Some(13));
    assert_eq!(order(1 << 20), Some(20));
    assert_eq!(order((1 << 20) + 1), None);
}

proptest! {
    /// Whatever the sizes of writes and reads, bytes arrive in order and whole.
    #[test]
    fn bytes_arrive_in_order(
        orders in prop::sample::select(vec![(12, 12), (13, 12), (10, 11), (11, 10), (11, 12)]),
        steps in prop::collection::vec((0usize..6000, 0usize..6000), 1..60),
    ) {
        let (mut server, mut client) = connected(orders.0, orders.1);
        let (mut sent, mut received) = (0usize, 0usize);
        for (write, read) in steps {
            let bytes: Vec<u8> = (sent..sent + write).map(|i| (i % 251) as u8).collect();
            match client.write(&bytes, || ()) {
                Ok(n) => sent += n,
                Err(e) => prop_assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
            }
            let mut buf = vec![0; read];
            match server.read(&mut buf, || ()) {
                Ok(n) => {
                    for byte in &buf[..n] {
                        prop_assert_eq!(*byte, (received % 251) as u8);
                        received += 1;
                    }
                }
                Err(e) => prop_assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
            }
            prop_assert!(received <= sent);
        }
    }

    /// A peer that scribbles over the whole page gets an error or junk, no panic.
    #[test]
    fn any_page_is_survived(noise in prop::collection::vec(any::<u8>(), 4096)) {
        let (page, hostile) = fake::pages(1);
        let (left, right) = (fake::pages(1).0, fake::pages(1).0);
        let interface = Interface::new_server(page, 12, 12, &[1, 2]);
        let mut server = Link::new(Ring::left(12, Some(left)), Ring::right(12, Some(right)), interface);
        hostile.write(0, &noise);
        let mut buf = [0; 5000];
        drop(server.read(&mut buf, || ()));
        drop(server.write(&buf, || ()));
        drop(Interface::new_client(hostile).layout());
    }
}
