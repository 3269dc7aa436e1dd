//! The tree of xenstore.

use std::time::Duration;

use vxn::xenstore::{Access, Error, MAX_VALUE, Permission, Xenstore};

use crate::inside;

/// A place of its own, removed when this is dropped.
struct Place<'a>(&'a Xenstore, String);

impl<'a> Place<'a> {
    fn new(store: &'a Xenstore, name: &str) -> Place<'a> {
        let path = format!("/vxn-test/{name}-{}", std::process::id());
        store.remove(&path).expect("it can be removed");
        Place(store, path)
    }

    fn node(&self, name: &str) -> String {
        format!("{}/{name}", self.1)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.remove(&self.1).expect("it can be removed");
    }
}

#[test]
fn nodes_hold_any_bytes() {
    inside::dom0(|| {
        let store = Xenstore::open().expect("xenstore");
        let place = Place::new(&store, "nodes");
        let node = place.node("a/b");
        assert_eq!(store.read(&node).expect("an answer"), None);
        assert_eq!(store.directory(&place.1).expect("an answer"), None);
        for value in [&b""[..], b"text", b"\0\xff\n", &[7; 3000]] {
            store.write(&node, value).expect("written");
            assert_eq!(store.read(&node).expect("an answer").as_deref(), Some(value));
        }
        assert_eq!(store.directory(&place.1).expect("an answer"), Some(vec!["a".into()]));
        let error = store.write(&node, [7; MAX_VALUE + 1]).expect_err("too long");
        assert!(matches!(error, Error::Node { verb: "write", .. }), "{error}");
        let error = store.read("a\0b").expect_err("no path");
        assert!(matches!(error, Error::Node { verb: "read", .. }), "{error}");
        store.remove(&node).expect("removed");
        store.remove(&node).expect("removing nothing is fine");
        let permissions = [
            Permission { domid: 0, access: Access::None },
            Permission { domid: 7, access: Access::Read },
        ];
        store.set_permissions(&place.node("a"), &permissions).expect("our node");
        assert!(store.set_permissions(&node, &permissions).is_err(), "no such node");
    });
}

#[test]
fn a_transaction_is_all_or_nothing() {
    inside::dom0(|| {
        let store = Xenstore::open().expect("xenstore");
        let place = Place::new(&store, "transaction");
        let (one, two) = (place.node("one"), place.node("two"));
        let failed: Result<(), Box<dyn std::error::Error>> = store.transaction(|t| {
            t.write(&one, "1")?;
            Err("changed my mind".into())
        });
        assert_eq!(failed.expect_err("the body's own").to_string(), "changed my mind");
        assert_eq!(store.read(&one).expect("an answer"), None);

        let mut attempts = 0;
        let seen = store.transaction::<_, Error>(|t| {
            attempts += 1;
            let seen = t.read(&one)?;
            if attempts == 1 {
                store.write(&one, "from outside")?;
            }
            t.write(&two, "2")?;
            Ok(seen)
        });
        assert_eq!(seen.expect("the second attempt").as_deref(), Some(&b"from outside"[..]));
        assert_eq!(attempts, 2);
        assert_eq!(store.read(&two).expect("an answer").as_deref(), Some(&b"2"[..]));
    });
}

#[test]
fn a_transaction_that_always_conflicts_ends() {
    inside::dom0(|| {
        let store = Xenstore::open().expect("xenstore");
        let place = Place::new(&store, "conflict");
        let node = place.node("n");
        let mut attempts = 0;
        let result = store.transaction::<_, Error>(|t| {
            attempts += 1;
            t.read(&node)?;
            store.write(&node, attempts.to_string())?;
            t.write(&place.node("other"), "x")
        });
        assert!(matches!(result, Err(Error::Conflict(n)) if n == attempts), "{result:?}");
    });
}

#[test]
fn a_watch_fires_and_times_out() {
    inside::dom0(|| {
        let store = Xenstore::open().expect("xenstore");
        let place = Place::new(&store, "watch");
        let watch = store.watch(&place.1).expect("a watch");
        let long = Some(Duration::from_secs(60));
        assert_eq!(watch.wait(long).expect("an answer"), Some(place.1.clone()), "at once");
        assert_eq!(watch.wait(Some(Duration::from_millis(200))).expect("an answer"), None);
        store.write(&place.node("x"), "1").expect("written");
        assert_eq!(watch.wait(long).expect("an answer"), Some(place.node("x")));
        assert_eq!(watch.check().expect("an answer"), None);
    });
}
