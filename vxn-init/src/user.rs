//! Who a process runs as: docker's reading of `USER`, with the image's own
//! passwd(5) and group(5) files.

use crate::{Error, Result};

/// The identity of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary groups, the primary group first.
    pub groups: Vec<u32>,
    /// Home directory, as the file has it.
    pub home: Vec<u8>,
}

/// A user's line in passwd(5).
struct Account<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

/// A group's line in group(5).
struct Group<'a> {
    name: &'a [u8],
    gid: u32,
    members: &'a [u8],
}

impl User {
    /// Finds `wanted`: `""`, `user` or `user:group`, each a name or a number.
    ///
    /// Without a group it is the user's own, or 0 for a number without an
    /// entry, and the groups that list the user are supplementary; a group
    /// that is named is the only one.
    pub fn find(wanted: &str, passwd: &[u8], group: &[u8]) -> Result<Self> {
        let (user, group_name) = wanted.split_once(':').unwrap_or((wanted, ""));
        let account = find_account(user, passwd);
        let mut found = match (&account, user) {
            (Some(account), _) => Self::of(account),
            (None, "") => Self::unlisted(0),
            (None, user) => Self::unlisted(number(user).ok_or_else(|| {
                Error::Other(format!(
                    "unable to find user {user}: no matching entries in passwd file"
                ))
            })?),
        };
        if group_name.is_empty() {
            let name = account.map_or(&[][..], |account| account.name);
            found.groups.push(found.gid);
            found.groups.extend(groups_of(name, group));
        } else {
            found.gid = find_group(group_name, group)?;
            found.groups.push(found.gid);
        }
        Ok(found)
    }

    /// Adds groups, each a name or a number, to the supplementary ones.
    ///
    /// # Errors
    /// A name that the image's group(5) file `group` does not have.
    pub fn join(&mut self, wanted: &[String], group: &[u8]) -> Result<()> {
        for name in wanted {
            let gid = find_group(name, group)?;
            if !self.groups.contains(&gid) {
                self.groups.push(gid);
            }
        }
        Ok(())
    }

    fn of(account: &Account<'_>) -> Self {
        let (uid, gid) = (account.uid, account.gid);
        Self { uid, gid, groups: Vec::new(), home: account.home.to_vec() }
    }

    fn unlisted(uid: u32) -> Self {
        Self { uid, gid: 0, groups: Vec::new(), home: b"/".to_vec() }
    }
}

/// The name of the user with this number, if it has one.
pub fn name_of(uid: u32, passwd: &[u8]) -> Option<&[u8]> {
    accounts(passwd).find(|account| account.uid == uid).map(|account| account.name)
}

/// The first account with this name or number.
fn find_account<'a>(user: &str, passwd: &'a [u8]) -> Option<Account<'a>> {
    let uid = if user.is_empty() { Some(0) } else { number(user) };
    accounts(passwd).find(|account| match uid {
        Some(uid) => account.uid == uid,
        None => account.name == user.as_bytes(),
    })
}

/// The number of the first group with this name or number, or the number itself.
fn find_group(wanted: &str, group: &[u8]) -> Result<u32> {
    let gid = number(wanted);
    let found = groups(group).find(|group| match gid {
        Some(gid) => group.gid == gid,
        None => group.name == wanted.as_bytes(),
    });
    found.map(|group| group.gid).or(gid).ok_or_else(|| {
        Error::Other(format!("unable to find group {wanted}: no matching entries in group file"))
    })
}

/// The groups that list `user` as a member.
fn groups_of<'a>(user: &'a [u8], group: &'a [u8]) -> impl Iterator<Item = u32> + 'a {
    groups(group)
        .filter(move |group| {
            !user.is_empty() && group.members.split(|byte| *byte == b',').any(|name| name == user)
        })
        .map(|group| group.gid)
}

fn accounts(passwd: &[u8]) -> impl Iterator<Item = Account<'_>> {
    lines(passwd).filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?;
        let uid = parse(fields.nth(1)?)?;
        let gid = parse(fields.next()?)?;
        let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or(b"/");
        Some(Account { name, uid, gid, home })
    })
}

fn groups(group: &[u8]) -> impl Iterator<Item = Group<'_>> {
    lines(group).filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next()?;
        let gid = parse(fields.nth(1)?)?;
        Some(Group { name, gid, members: fields.next().unwrap_or_default() })
    })
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

fn parse(field: &[u8]) -> Option<u32> {
    number(std::str::from_utf8(field).ok()?)
}

/// A user or group number; the kernel keeps the upper half for itself.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number <= i32::MAX as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
        # a comment\n\
        broken line\n\
        daemon:x:1:1::/usr/sbin:/bin/false\n\
        app:x:1000:100:App:/home/app:/bin/sh\n\
        1234:x:77:78::/named:/bin/sh\n\
        homeless:x:5:5";
    const GROUP: &[u8] =
        b"root:x:0:\nusers:x:100:\nwheel:x:10:root,app\nvideo:x:44:app\nbad:x:y:app\n";

    fn find(wanted: &str) -> (u32, u32, Vec<u32>, Vec<u8>) {
        let user = User::find(wanted, PASSWD, GROUP).unwrap();
        (user.uid, user.gid, user.groups, user.home)
    }

    #[test]
    fn an_empty_user_is_root_with_its_groups() {
        assert_eq!(find(""), (0, 0, vec![0, 10], b"/root".to_vec()));
        let user = User::find("", b"", b"").unwrap();
        assert_eq!((user.uid, user.gid, user.groups), (0, 0, vec![0]));
        assert_eq!(user.home, b"/");
    }

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let app = (1000, 100, vec![100, 10, 44], b"/home/app".to_vec());
        assert_eq!(find("app"), app);
        assert_eq!(find("1000"), app);
        assert_eq!(find("homeless").3, b"/");
    }

    #[test]
    fn a_number_is_never_read_as_a_name() {
        assert_eq!(find("1234"), (1234, 0, vec![0], b"/".to_vec()));
    }

    #[test]
    fn a_group_that_is_named_is_the_only_one() {
        assert_eq!(find("app:video"), (1000, 44, vec![44], b"/home/app".to_vec()));
        assert_eq!(find("app:7"), (1000, 7, vec![7], b"/home/app".to_vec()));
        assert_eq!(find("4321:users"), (4321, 100, vec![100], b"/".to_vec()));
        assert_eq!(find(":wheel"), (0, 10, vec![10], b"/root".to_vec()));
    }

    #[test]
    fn groups_are_added_by_name_and_by_number() {
        let joined = |wanted: &[&str]| {
            let mut user = User::find("app", PASSWD, GROUP).unwrap();
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            user.join(&wanted, GROUP).map(|()| user.groups).map_err(|error| error.to_string())
        };
        assert_eq!(joined(&["root", "777", "video", "root"]), Ok(vec![100, 10, 44, 0, 777]));
        let why = "unable to find group nogroup: no matching entries in group file";
        assert_eq!(joined(&["root", "nogroup"]), Err(why.to_owned()));
    }

    #[test]
    fn strangers_are_refused_by_name() {
        let error = |wanted| User::find(wanted, PASSWD, GROUP).unwrap_err().to_string();
        assert_eq!(
            error("nobody"),
            "unable to find user nobody: no matching entries in passwd file"
        );
        assert_eq!(
            error("app:nogroup"),
            "unable to find group nogroup: no matching entries in group file"
        );
        assert!(error("2147483648").contains("unable to find user"));
        assert!(error("-1").contains("unable to find user"));
    }
}
