//! What system calls the processes may make: the host's filter, loaded last of all.
//!
//! libcontainer would load one long before it executes the program, and none for what is
//! executed later. It would also need every call that comes in between; of ours, a filter
//! has to allow execve(2) alone.

use libcontainer::oci_spec::runtime::{Capabilities, Capability};
use vxn_proto::{Container, Seccomp};

use crate::sys;

/// Loads the filter for this process and its children, for ever.
pub fn load(filter: &Seccomp) -> nix::Result<()> {
    let program: Vec<libc::sock_filter> = filter
        .program
        .iter()
        .map(|one| libc::sock_filter { code: one.code, jt: one.jt, jf: one.jf, k: one.k })
        .collect();
    sys::set_filter(filter.flags, &program)
}

/// What a process holds until it executes its program, where its own capabilities are
/// `held`. Without the promise of no new privileges a filter is for CAP_SYS_ADMIN to load.
/// It goes with execve(2), which makes the capabilities anew out of the bounding and the
/// ambient set (capabilities(7)).
pub fn held(mut held: Capabilities, container: &Container) -> Capabilities {
    if container.seccomp.is_some() && !container.privileges.no_new_privileges {
        held.insert(Capability::SysAdmin);
    }
    held
}

#[cfg(test)]
mod tests {
    use vxn_proto::Privileges;

    use super::*;

    #[test]
    fn who_loads_a_filter_may() {
        let held = |seccomp: bool, no_new_privileges| {
            let seccomp = seccomp.then(|| Seccomp { flags: 0, program: Vec::new() });
            let privileges = Privileges { no_new_privileges, ..Privileges::default() };
            let container = Container { seccomp, privileges, ..Container::default() };
            super::held(Capabilities::new(), &container).contains(&Capability::SysAdmin)
        };
        assert!(held(true, false));
        assert!(!held(true, true) && !held(false, false));
    }
}
