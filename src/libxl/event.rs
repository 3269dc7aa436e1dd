//! Learning that a domain has ended.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::{Code, Ctx, DomId, Error, Result, ShutdownReason, ffi};

/// What happened to a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// To which one.
    pub domid: DomId,
    /// What.
    pub kind: EventKind,
}

/// What can happen (`libxl_event_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It has ended by itself; its memory and devices are still there.
    Shutdown(ShutdownReason),
    /// It is gone, or as good as gone.
    Death,
}

/// While this lives, the context reports the end of one domain: at most one
/// [`EventKind::Shutdown`] and one [`EventKind::Death`].
#[derive(Debug)]
pub struct DeathWatch {
    token: u64,
    deaths: Rc<Deaths>,
    _generator: ffi::DeathGenerator,
}

impl Drop for DeathWatch {
    fn drop(&mut self) {
        self.deaths.watched.borrow_mut().remove(&self.token);
    }
}

/// The watches of a context, by the token that libxl gives back with an event.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    next_token: Cell<u64>,
    watched: RefCell<HashMap<u64, Reported>>,
    /// Events that did not come from libxl.
    queued: RefCell<VecDeque<ffi::RawEvent>>,
}

/// What was reported of one domain, as the same thing can be found out twice.
#[derive(Debug, Default)]
struct Reported {
    shutdown: bool,
    death: bool,
}

impl Deaths {
    /// Lets an event pass once, and only while its watch lives.
    fn admit(&self, event: ffi::RawEvent) -> Option<Event> {
        let mut watched = self.watched.borrow_mut();
        let reported = watched.get_mut(&event.token)?;
        let before = match event.kind {
            EventKind::Shutdown(_) => &mut reported.shutdown,
            EventKind::Death => &mut reported.death,
        };
        if std::mem::replace(before, true) {
            return None;
        }
        Some(Event { domid: event.domid, kind: event.kind })
    }
}

impl Ctx {
    /// Starts to watch for the end of a domain (`libxl_evenable_domain_death`).
    /// What has already happened is reported too.
    pub fn watch_death(&self, domid: DomId) -> Result<DeathWatch> {
        let token = self.deaths.next_token.get();
        self.deaths.next_token.set(token + 1);
        let generator = self.run(format_args!("watch domain {domid}"), |_| {
            ffi::DeathGenerator::new(&self.raw, domid, token)
        })?;
        self.deaths.watched.borrow_mut().insert(token, Reported::default());
        let watch = DeathWatch { token, deaths: Rc::clone(&self.deaths), _generator: generator };
        // libxl itself looks at what has happened before only for the first watch.
        if let Some(kind) = self.what_happened(domid)? {
            self.deaths.queued.borrow_mut().push_back(ffi::RawEvent { token, domid, kind });
        }
        Ok(watch)
    }

    fn what_happened(&self, domid: DomId) -> Result<Option<EventKind>> {
        self.run(format_args!("look at domain {domid}"), |ctx| match ffi::domain_info(ctx, domid) {
            Ok(info) if info.state.dying => Ok(Some(EventKind::Death)),
            Ok(info) => Ok(info.shutdown_reason.map(EventKind::Shutdown)),
            Err(Code::DOMAIN_NOTFOUND) => Ok(Some(EventKind::Death)),
            Err(code) => Err(code),
        })
    }

    /// Waits for an event of a watched domain; `None` after `timeout`. Whatever
    /// else libxl has to do happens meanwhile.
    pub fn wait_event(&self, timeout: Option<Duration>) -> Result<Option<Event>> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        let mut fds = Vec::new();
        loop {
            if let Some(event) = self.next_event()? {
                return Ok(Some(event));
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            fds.clear();
            let wanted = self.before_poll(&mut fds)?;
            let timeout = [left, wanted].into_iter().flatten().min();
            if ffi::poll(&mut fds, timeout).map_err(Error::Poll)? {
                self.after_poll(&fds);
            }
        }
    }

    /// For a poll loop of the caller's: appends what libxl wants to poll, and
    /// returns after which time it wants to be called at the latest
    /// (`libxl_osevent_beforepoll`). After poll(2), call [`Ctx::after_poll`], then
    /// [`Ctx::next_event`] until there is none.
    pub fn before_poll(&self, fds: &mut Vec<libc::pollfd>) -> Result<Option<Duration>> {
        self.run(format_args!("prepare to poll"), |ctx| ffi::before_poll(ctx, fds))
    }

    /// Does what the results of poll(2) call for (`libxl_osevent_afterpoll`). `fds`
    /// are the entries that the last [`Ctx::before_poll`] appended, no others.
    pub fn after_poll(&self, fds: &[libc::pollfd]) {
        ffi::after_poll(&self.raw, fds);
    }

    /// Waits until one of `fds` is readable (or hung up), until libxl has something
    /// to do and has done it, or for `timeout`; says which of `fds` are readable.
    /// [`Ctx::next_event`] may have something then.
    pub fn poll<const N: usize>(
        &self,
        fds: [BorrowedFd<'_>; N],
        timeout: Option<Duration>,
    ) -> Result<[bool; N]> {
        let ready = self.poll_each(&fds.map(|fd| (fd, PollFlags::POLLIN)), timeout)?;
        Ok(std::array::from_fn(|i| !ready[i].is_empty()))
    }

    /// The same for any number of descriptors, each with what it is polled for;
    /// says what each is ready for.
    pub fn poll_each(
        &self,
        fds: &[(BorrowedFd<'_>, PollFlags)],
        timeout: Option<Duration>,
    ) -> Result<Vec<PollFlags>> {
        let ours = fds.iter().map(|(fd, wanted)| libc::pollfd {
            fd: fd.as_raw_fd(),
            events: wanted.bits(),
            revents: 0,
        });
        let mut all: Vec<libc::pollfd> = ours.collect();
        let wanted = self.before_poll(&mut all)?;
        let timeout = [timeout, wanted].into_iter().flatten().min();
        if !ffi::poll(&mut all, timeout).map_err(Error::Poll)? {
            return Ok(vec![PollFlags::empty(); fds.len()]);
        }
        self.after_poll(&all[fds.len()..]);
        Ok(all[..fds.len()].iter().map(|fd| PollFlags::from_bits_truncate(fd.revents)).collect())
    }

    /// The next event that has happened, without waiting (`libxl_event_check`).
    pub fn next_event(&self) -> Result<Option<Event>> {
        loop {
            let queued = self.deaths.queued.borrow_mut().pop_front();
            let event = match queued {
                Some(event) => Some(event),
                None => self.run(format_args!("look for events"), ffi::next_event)?,
            };
            let Some(event) = event else { return Ok(None) };
            if let Some(event) = self.deaths.admit(event) {
                return Ok(Some(event));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(token: u64, kind: EventKind) -> ffi::RawEvent {
        ffi::RawEvent { token, domid: DomId(7), kind }
    }

    #[test]
    fn events_pass_once_and_only_while_watched() {
        let deaths = Deaths::default();
        deaths.watched.borrow_mut().insert(1, Reported::default());
        let shutdown = EventKind::Shutdown(ShutdownReason::PowerOff);
        assert_eq!(deaths.admit(event(2, shutdown)), None);
        let admitted = deaths.admit(event(1, shutdown));
        assert_eq!(admitted, Some(Event { domid: DomId(7), kind: shutdown }));
        assert_eq!(deaths.admit(event(1, shutdown)), None);
        assert!(deaths.admit(event(1, EventKind::Death)).is_some());
        deaths.watched.borrow_mut().remove(&1);
        assert_eq!(deaths.admit(event(1, EventKind::Death)), None);
    }
}
