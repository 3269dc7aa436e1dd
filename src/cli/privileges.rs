//! The flags of what a container's processes may do, as docker has them.

use clap::Args;
use oci_spec::runtime::Capability;
use vxn_proto::Privileges;

use crate::seccomp::Choice;

/// Privileges inside of the guest.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Privileges")]
pub struct PrivilegeFlags {
    /// Give the processes every capability, and hide nothing of /proc and /sys.
    #[arg(long)]
    privileged: bool,
    /// Add a capability, or ALL.
    #[arg(long, value_name = "CAPABILITY", value_parser = capability)]
    cap_add: Vec<String>,
    /// Drop a capability, or ALL.
    #[arg(long, value_name = "CAPABILITY", value_parser = capability)]
    cap_drop: Vec<String>,
    /// no-new-privileges[:BOOL], systempaths=unconfined, or seccomp=FILE, builtin or
    /// unconfined.
    #[arg(long, value_name = "OPTION", value_parser = security_opt)]
    security_opt: Vec<SecurityOpt>,
}

/// What one `--security-opt` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SecurityOpt {
    NoNewPrivileges(bool),
    Seccomp(Choice),
    Unmasked,
    /// What is so anyway.
    AsItIs,
}

impl PrivilegeFlags {
    /// What was said; the last word counts.
    pub fn privileges(self) -> Privileges {
        let mut privileges = Privileges {
            privileged: self.privileged,
            cap_add: self.cap_add,
            cap_drop: self.cap_drop,
            ..Privileges::default()
        };
        for option in self.security_opt {
            match option {
                SecurityOpt::NoNewPrivileges(yes) => privileges.no_new_privileges = yes,
                SecurityOpt::Unmasked => privileges.unmasked = true,
                SecurityOpt::Seccomp(_) | SecurityOpt::AsItIs => {}
            }
        }
        privileges
    }

    /// The seccomp profile that was named, if any; the last one counts.
    pub fn seccomp(&self) -> Option<&Choice> {
        self.security_opt.iter().rev().find_map(|option| match option {
            SecurityOpt::Seccomp(choice) => Some(choice),
            _ => None,
        })
    }
}

/// A capability with or without `CAP_`, in any case; `ALL` is one too.
fn capability(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if upper == "ALL" {
        return Ok(upper);
    }
    match bare.parse::<Capability>() {
        Ok(_) => Ok(format!("CAP_{bare}")),
        Err(_) => Err(format!("unknown capability: \"CAP_{bare}\"")),
    }
}

/// The guest has no AppArmor and no SELinux, so that who wants none has none.
fn security_opt(text: &str) -> Result<SecurityOpt, String> {
    let (key, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
    let no = |why: &str| {
        let instead = "the DomU confines the container; --cap-drop, no-new-privileges and \
                       seccomp=FILE confine it further";
        Err(format!("{why}; {instead}"))
    };
    match (key, value) {
        ("no-new-privileges", "" | "1" | "t" | "T" | "true" | "TRUE" | "True") => {
            Ok(SecurityOpt::NoNewPrivileges(true))
        }
        ("no-new-privileges", "0" | "f" | "F" | "false" | "FALSE" | "False") => {
            Ok(SecurityOpt::NoNewPrivileges(false))
        }
        ("systempaths", "unconfined") => Ok(SecurityOpt::Unmasked),
        ("seccomp", "") => Err("seccomp needs a profile: a file, builtin or unconfined".to_owned()),
        ("seccomp", profile) => {
            let Ok(choice) = profile.parse::<Choice>();
            Ok(SecurityOpt::Seccomp(choice))
        }
        ("apparmor", "unconfined") | ("label", "disable") => Ok(SecurityOpt::AsItIs),
        ("apparmor" | "label", _) => no("the guest has neither AppArmor nor SELinux"),
        _ => Err(format!("invalid --security-opt: {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_one_name() {
        for text in ["NET_ADMIN", "cap_net_admin", "CAP_NET_ADMIN", "Net_Admin"] {
            assert_eq!(capability(text).unwrap(), "CAP_NET_ADMIN", "{text}");
        }
        assert_eq!(capability("all").unwrap(), "ALL");
        assert_eq!(capability("fly").unwrap_err(), "unknown capability: \"CAP_FLY\"");
        for text in ["", "CAP_", "CAP_ALL", "CAP_CAP_KILL", "NET ADMIN"] {
            assert!(capability(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_so_anyway_is_taken_and_what_cannot_be_is_refused() {
        use SecurityOpt::{AsItIs, NoNewPrivileges, Seccomp, Unmasked};
        for (text, option) in [
            ("no-new-privileges", NoNewPrivileges(true)),
            ("no-new-privileges:true", NoNewPrivileges(true)),
            ("no-new-privileges=false", NoNewPrivileges(false)),
            ("systempaths=unconfined", Unmasked),
            ("seccomp=unconfined", Seccomp(Choice::Unconfined)),
            ("seccomp:builtin", Seccomp(Choice::BuiltIn)),
            ("seccomp=a=b:c.json", Seccomp(Choice::File("a=b:c.json".into()))),
            ("apparmor=unconfined", AsItIs),
            ("label:disable", AsItIs),
        ] {
            assert_eq!(security_opt(text), Ok(option), "{text}");
        }
        let apparmor = security_opt("apparmor=x").unwrap_err();
        assert!(apparmor.contains("neither AppArmor") && apparmor.contains("seccomp"));
        for text in ["", "no-new-privileges:maybe", "seccomp", "nonsense"] {
            assert!(security_opt(text).is_err(), "{text}");
        }
    }
}
