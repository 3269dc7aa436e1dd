//! The end of a domain is reported.

use std::thread;
use std::time::Duration;

use vxn::libxl::{Ctx, Event, EventKind, GuestType, ShutdownReason};

use crate::guest::{BOTH, Does, Guest};
use crate::inside;

const LONG: Option<Duration> = Some(Duration::from_secs(120));
const SHORT: Option<Duration> = Some(Duration::from_millis(300));

#[test]
fn a_shutdown_is_reported_with_its_reason() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        for guest_type in BOTH {
            for (number, reason) in [
                (0, ShutdownReason::PowerOff),
                (1, ShutdownReason::Reboot),
                (3, ShutdownReason::Crash),
            ] {
                let guest = Guest::paused(&ctx, guest_type, Does::Shutdown(number));
                let watch = ctx.watch_death(guest.id).expect("a watch");
                assert_eq!(ctx.wait_event(SHORT).expect("an answer"), None);
                ctx.unpause(guest.id).expect("it can run");
                let event = ctx.wait_event(LONG).expect("an answer");
                let expected = Event { domid: guest.id, kind: EventKind::Shutdown(reason) };
                assert_eq!(event, Some(expected));
                let info = ctx.info(guest.id).expect("an answer").expect("it is still there");
                assert_eq!(info.shutdown_reason, Some(reason));
                drop(watch);
            }
        }
    });
}

#[test]
fn what_happened_before_the_watch_is_reported_once() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        let live = Guest::running(&ctx, GuestType::Pvh, Does::Nothing);
        let _first = ctx.watch_death(live.id).expect("a watch");
        let ended = Guest::paused(&ctx, GuestType::Pvh, Does::Shutdown(0));
        let watch = ctx.watch_death(ended.id).expect("a watch");
        ctx.unpause(ended.id).expect("it can run");
        let event = ctx.wait_event(LONG).expect("an answer").expect("an event");
        assert_eq!(event.domid, ended.id);
        drop(watch);

        let _late = ctx.watch_death(ended.id).expect("a watch");
        let again = ctx.wait_event(SHORT).expect("an answer").expect("an event");
        assert_eq!(again, event);
        // Makes libxl look again at all that it watches.
        drop(Guest::paused(&ctx, GuestType::Pvh, Does::Nothing));
        assert_eq!(ctx.wait_event(SHORT).expect("an answer"), None);
    });
}

#[test]
fn destruction_by_somebody_else_is_a_death() {
    inside::dom0(|| {
        let ctx = Ctx::open().expect("a context");
        let guest = Guest::running(&ctx, GuestType::Pvh, Does::Nothing);
        let _watch = ctx.watch_death(guest.id).expect("a watch");
        let id = guest.id;
        thread::spawn(move || Ctx::open()?.destroy(id))
            .join()
            .expect("no panic")
            .expect("destroyed");
        let event = ctx.wait_event(LONG).expect("an answer");
        assert_eq!(event, Some(Event { domid: id, kind: EventKind::Death }));
    });
}
