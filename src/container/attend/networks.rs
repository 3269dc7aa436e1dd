//! What the guest is told of its networks, and clients that change them while it runs.
//!
//! The guest is told of one state at a time; what changes before it has answered is
//! told then. So a guest that never answers costs nothing but the wait.

use std::mem::take;
use std::time::{Duration, Instant};

use super::super::control::{ClientId, Departure, ToClient};
use super::super::network::Membership;
use super::{Attendance, Error};
use crate::guest::Guest;

/// How long a guest may take to set up an interface: longer than it waits for one.
const PATIENCE: Duration = Duration::from_secs(40);

/// Changes of the networks that are under way.
#[derive(Debug, Default)]
pub struct Changes {
    /// The guest was told, and has not answered.
    telling: bool,
    /// How long those who wait do.
    until: Option<Instant>,
    /// Clients whose wish it was told of.
    told: Vec<Wish>,
    /// Clients whose wish comes with the next word.
    next: Vec<Wish>,
}

/// What a client waits for.
#[derive(Debug)]
struct Wish {
    client: ClientId,
    /// The network to get off again if the guest does not take it.
    joined: Option<String>,
}

impl Changes {
    /// When those who wait have waited long enough.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }
}

impl Attendance<'_> {
    /// Tells the guest of its networks, if it does not know all of it.
    pub(super) fn tell_network(&mut self) -> Result<(), Error> {
        // Before that it cannot listen; it is told when it greets.
        if self.session.guest() < Guest::Configuring || self.changes.telling {
            return Ok(());
        }
        let network = self.connection.guest()?;
        if network == self.told && self.changes.next.is_empty() {
            return Ok(());
        }
        self.session.network(network.clone())?;
        self.told = network;
        self.changes.told = take(&mut self.changes.next);
        self.changes.telling = true;
        Ok(())
    }

    /// The guest's network is as it was told last, or not.
    pub(super) fn networked(&mut self, error: Option<String>) -> Result<(), Error> {
        self.changes.telling = false;
        let told = take(&mut self.changes.told);
        if self.changes.next.is_empty() {
            self.changes.until = None;
        }
        for wish in told {
            self.fulfil(wish, error.as_deref())?;
        }
        if let Some(error) = error {
            tracing::warn!("the guest's network is not as it should be: {error}");
        }
        self.tell_network()
    }

    /// Puts the container on another network: the lease, the vif, the guest.
    pub(super) fn connect(&mut self, client: ClientId, wanted: &Membership) -> Result<(), Error> {
        let named = self.plan.definition.network.namespace.is_some();
        let why = named.then_some("its network is what its caller has prepared");
        if let Some(why) = self.hindrance().or(why) {
            self.refuse(client, why);
            return Ok(());
        }
        if let Err(e) = self.connection.join(wanted) {
            self.refuse(client, &e.to_string());
            return Ok(());
        }
        let network = &wanted.network;
        let Some(nic) = self.connection.nic(network, &self.plan.hotplug) else { return Ok(()) };
        match self.ctx.attach_nic(self.domid, &nic) {
            Ok(devid) => self.connection.plugged(network, devid),
            Err(e) => {
                self.refuse(client, &e.to_string());
                return Ok(self.connection.leave(network)?);
            }
        }
        self.wait_for_guest(Wish { client, joined: Some(network.clone()) })
    }

    /// Takes the container off a network. By force, the guest is not asked to let go of
    /// the vif, and may be paused.
    pub(super) fn disconnect(
        &mut self,
        client: ClientId,
        departure: &Departure,
    ) -> Result<(), Error> {
        let Departure { network, force } = departure;
        let force = *force;
        let hindered = self.hindrance().filter(|_| !(force && self.paused()));
        let known = self.connection.devid(network).map_err(|e| e.to_string());
        let known = hindered.map_or(known, |why| Err(why.to_owned()));
        if let Err(why) = known.and_then(|devid| self.unplug(network, devid, force)) {
            self.refuse(client, &why);
            return Ok(());
        }
        if force {
            self.desk.clients.tell(client, &ToClient::Done);
            return self.tell_network();
        }
        self.wait_for_guest(Wish { client, joined: None })
    }

    fn unplug(&mut self, network: &str, devid: Option<u32>, force: bool) -> Result<(), String> {
        let taken = devid.map_or(Ok(()), |devid| match force {
            true => self.ctx.pull_nic(self.domid, devid),
            false => self.ctx.detach_nic(self.domid, devid),
        });
        taken.map_err(|e| e.to_string())?;
        self.connection.leave(network).map_err(|e| e.to_string())
    }

    fn wait_for_guest(&mut self, wish: Wish) -> Result<(), Error> {
        self.changes.next.push(wish);
        self.changes.until.get_or_insert_with(|| Instant::now() + PATIENCE);
        self.tell_network()
    }

    /// Tells a client how it went. What the guest did not take is taken back.
    fn fulfil(&mut self, wish: Wish, error: Option<&str>) -> Result<(), Error> {
        let (Some(network), Some(why)) = (&wish.joined, error) else {
            self.desk.clients.tell(wish.client, &ToClient::Done);
            return Ok(());
        };
        let devid = self.connection.devid(network).unwrap_or_default();
        if let Err(e) = self.unplug(network, devid, true) {
            tracing::error!("the container stays on network {network}: {e}");
        }
        self.refuse(wish.client, &format!("the guest: {why}"));
        Ok(())
    }

    /// Gives up on a guest that should have answered by now.
    pub(super) fn overdue_network(&mut self, now: Instant) -> Result<(), Error> {
        if self.changes.until.is_none_or(|until| now < until) {
            return Ok(());
        }
        self.changes.until = None;
        let why = format!("it did not answer within {} seconds", PATIENCE.as_secs());
        let mut wishes = take(&mut self.changes.told);
        wishes.append(&mut self.changes.next);
        wishes.into_iter().try_for_each(|wish| self.fulfil(wish, Some(&why)))
    }
}
