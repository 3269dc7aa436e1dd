//! Events and the poll loop.
#![expect(unsafe_code)]

use std::ffi::c_int;
use std::fmt;
use std::io;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libc::pollfd;
use xen_sys::{
    LIBXL_EVENT_TYPE_DOMAIN_DEATH, LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN, libxl_evdisable_domain_death,
    libxl_evenable_domain_death, libxl_event, libxl_event_check, libxl_event_free,
    libxl_evgen_domain_death, libxl_osevent_afterpoll, libxl_osevent_beforepoll, timeval,
};

use super::domain::shutdown_reason;
use super::{RawCtx, check};
use crate::libxl::{Code, DomId, EventKind};

/// An event as it comes from libxl.
#[derive(Clone, Copy, Debug)]
pub struct RawEvent {
    /// What the one who asked for it gave.
    pub token: u64,
    pub domid: DomId,
    pub kind: EventKind,
}

/// Makes libxl report the end of one domain, until it is dropped.
pub struct DeathGenerator {
    ctx: Rc<RawCtx>,
    raw: NonNull<libxl_evgen_domain_death>,
}

impl DeathGenerator {
    pub fn new(ctx: &Rc<RawCtx>, domid: DomId, token: u64) -> Result<DeathGenerator, Code> {
        let mut raw = ptr::null_mut();
        // SAFETY: the context is open, `raw` takes the generator.
        check(unsafe { libxl_evenable_domain_death(ctx.as_ptr(), domid.0, token, &mut raw) })?;
        let raw = NonNull::new(raw).ok_or(Code::FAIL)?;
        Ok(DeathGenerator { ctx: Rc::clone(ctx), raw })
    }
}

impl Drop for DeathGenerator {
    fn drop(&mut self) {
        // SAFETY: of this context, which is still open; disabled once.
        unsafe { libxl_evdisable_domain_death(self.ctx.as_ptr(), self.raw.as_ptr()) };
    }
}

impl fmt::Debug for DeathGenerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeathGenerator").finish_non_exhaustive()
    }
}

/// The next event that is there, of the kinds that we know.
pub fn next_event(ctx: &RawCtx) -> Result<Option<RawEvent>, Code> {
    loop {
        let mut raw = ptr::null_mut();
        // SAFETY: the context is open, `raw` takes the event; all types, no filter.
        let rc =
            unsafe { libxl_event_check(ctx.as_ptr(), &mut raw, u64::MAX, None, ptr::null_mut()) };
        match check(rc) {
            Ok(()) => {}
            Err(Code::NOT_READY) => return Ok(None),
            Err(code) => return Err(code),
        }
        // SAFETY: success means that there is one, and it is ours.
        let event = unsafe { event(&*raw) };
        // SAFETY: freed once.
        unsafe { libxl_event_free(ctx.as_ptr(), raw) };
        if event.is_some() {
            return Ok(event);
        }
    }
}

fn event(raw: &libxl_event) -> Option<RawEvent> {
    let kind = match raw.type_ {
        LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN => {
            // SAFETY: this type has this member of the union.
            let reason = unsafe { raw.u.domain_shutdown.shutdown_reason };
            EventKind::Shutdown(shutdown_reason(reason.into()))
        }
        LIBXL_EVENT_TYPE_DOMAIN_DEATH => EventKind::Death,
        _ => return None,
    };
    Some(RawEvent { token: raw.for_user, domid: DomId(raw.domid), kind })
}

/// Appends what libxl wants to poll; returns for how long at most.
pub fn before_poll(ctx: &RawCtx, fds: &mut Vec<pollfd>) -> Result<Option<Duration>, Code> {
    const EMPTY: pollfd = pollfd { fd: -1, events: 0, revents: 0 };
    let start = fds.len();
    let mut room = 8;
    loop {
        fds.resize(start + room, EMPTY);
        let mut count = c_int::try_from(room).unwrap_or(c_int::MAX);
        let mut timeout = -1;
        let first = fds[start..].as_mut_ptr();
        // SAFETY: `first` has room for `count` entries; `struct pollfd` is the same
        // type in both bindings.
        let rc = unsafe {
            libxl_osevent_beforepoll(ctx.as_ptr(), &mut count, first.cast(), &mut timeout, now())
        };
        let count = usize::try_from(count).unwrap_or(0);
        match check(rc) {
            Err(Code::BUFFERFULL) if count > room => room = count,
            result => {
                fds.truncate(start + count.min(room));
                return result.map(|()| u64::try_from(timeout).ok().map(Duration::from_millis));
            }
        }
    }
}

pub fn after_poll(ctx: &RawCtx, fds: &[pollfd]) {
    let count = c_int::try_from(fds.len()).unwrap_or(c_int::MAX);
    // SAFETY: `count` entries; libxl looks for its own by number and content.
    unsafe { libxl_osevent_afterpoll(ctx.as_ptr(), count, fds.as_ptr().cast(), now()) };
}

/// Polls; `false` when a signal came first.
pub fn poll(fds: &mut [pollfd], timeout: Option<Duration>) -> io::Result<bool> {
    // Rounded up, lest the last millisecond be spent spinning.
    let millis =
        timeout.map_or(-1, |t| c_int::try_from(t.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX));
    // SAFETY: a slice of entries, which poll(2) writes to.
    if unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, millis) } >= 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        e if e.kind() == io::ErrorKind::Interrupted => Ok(false),
        e => Err(e),
    }
}

/// libxl counts with the clock on the wall.
fn now() -> timeval {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    timeval { tv_sec: now.as_secs() as i64, tv_usec: now.subsec_micros().into() }
}
