//! Redirects: what one device receives is sent by another, by traffic control
//! (tc-mirred(8)). No bridge is needed, and the host's own stack sees nothing of it.

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionMirror, TcActionMirrorOption, TcActionOption,
    TcActionType, TcAttribute, TcFilterU32, TcFilterU32Option, TcHandle, TcMessage, TcMirror,
    TcOption, TcU32Key, TcU32Selector, TcU32SelectorFlags,
};
use nix::libc;

use crate::Links;

/// The queueing discipline of what a device receives.
const INGRESS: &str = "ingress";

/// Its handle, `ffff:`, and the parent of its filters.
const HANDLE: TcHandle = TcHandle { major: 0xffff, minor: 0 };

/// The only filter's place among others.
const PRIORITY: u32 = 1;

impl Links {
    /// Sends everything that the device `from` receives by the device `to` instead.
    /// Both are `ifindex`es. It ends with either device.
    ///
    /// # Errors
    /// The kernel's: `EEXIST` when somebody has claimed what `from` receives,
    /// `ENOENT` when it lacks `sch_ingress`, `cls_u32` or `act_mirred`.
    pub fn redirect(&self, from: u32, to: u32) -> io::Result<()> {
        let mut qdisc = at(from, TcHandle::INGRESS);
        qdisc.header.handle = HANDLE;
        qdisc.attributes.push(TcAttribute::Kind(INGRESS.to_owned()));
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.0.ask(RouteNetlinkMessage::NewQueueDiscipline(qdisc), flags)?;
        let mut filter = at(from, HANDLE);
        let every_protocol = (libc::ETH_P_ALL as u16).to_be();
        filter.header.info = PRIORITY << 16 | u32::from(every_protocol);
        filter.attributes.push(TcAttribute::Kind(TcFilterU32::KIND.to_owned()));
        let options = vec![
            TcOption::U32(TcFilterU32Option::Selector(everything())),
            TcOption::U32(TcFilterU32Option::Action(vec![send_by(to)])),
        ];
        filter.attributes.push(TcAttribute::Options(options));
        self.0.ask(RouteNetlinkMessage::NewTrafficFilter(filter), flags).map(drop)
    }

    /// Lets the device `from` receive again, if it was redirected to a device that is
    /// gone, or a redirect was only half made. Anything else stays as it is.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_dead_redirect(&self, from: u32) -> io::Result<()> {
        let request = RouteNetlinkMessage::GetTrafficFilter(at(from, HANDLE));
        let filters = match self.0.ask(request, NLM_F_DUMP) {
            // The device is gone, and all that was tied to it.
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => return Ok(()),
            filters => filters?,
        };
        if !filters.iter().all(is_dead) {
            return Ok(());
        }
        let mut qdisc = at(from, TcHandle::INGRESS);
        qdisc.attributes.push(TcAttribute::Kind(INGRESS.to_owned()));
        match self.0.ask(RouteNetlinkMessage::DelQueueDiscipline(qdisc), NLM_F_ACK) {
            // There is none, or another kind, or no device any more.
            Err(e)
                if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINVAL | libc::ENODEV)) =>
            {
                Ok(())
            }
            removed => removed.map(drop),
        }
    }
}

fn at(device: u32, parent: TcHandle) -> TcMessage {
    // The kernel's own indices are positive ints.
    let mut message = TcMessage::with_index(device as i32);
    message.header.parent = parent;
    message
}

/// A key that every packet has: no bit of its first word is looked at.
fn everything() -> TcU32Selector {
    let mut selector = TcU32Selector::default();
    selector.flags = TcU32SelectorFlags::Terminal;
    selector.nkeys = 1;
    selector.keys = vec![TcU32Key::default()];
    selector
}

fn send_by(device: u32) -> TcAction {
    let mut mirror = TcMirror::default();
    mirror.generic.action = TcActionType::Stolen;
    mirror.ifindex = device;
    let parameters = TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror));
    let mut action = TcAction::default();
    action.attributes = vec![
        TcActionAttribute::Kind(TcActionMirror::KIND.to_owned()),
        TcActionAttribute::Options(vec![parameters]),
    ];
    action
}

/// Whether a filter does nothing but redirect to a device that is gone: the kernel
/// then shows the index 0. u32 shows its empty tables as filters, too.
fn is_dead(filter: &RouteNetlinkMessage) -> bool {
    let RouteNetlinkMessage::NewTrafficFilter(message) = filter else { return true };
    let options = message.attributes.iter().filter_map(|attribute| match attribute {
        TcAttribute::Options(options) => Some(options),
        _ => None,
    });
    let mut actions = Vec::new();
    let mut selects = false;
    for option in options.flatten() {
        match option {
            TcOption::U32(TcFilterU32Option::Selector(_)) => selects = true,
            TcOption::U32(TcFilterU32Option::Action(some)) => actions.extend(some),
            TcOption::U32(_) => {}
            _ => return false,
        }
    }
    !(selects && actions.is_empty()) && actions.into_iter().all(leads_nowhere)
}

fn leads_nowhere(action: &TcAction) -> bool {
    let options = action.attributes.iter().filter_map(|attribute| match attribute {
        TcActionAttribute::Options(options) => Some(options),
        _ => None,
    });
    options.flatten().any(|option| {
        matches!(
            option,
            TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror)) if mirror.ifindex == 0
        )
    })
}
