//! 9P2000.L by hand: what Linux's client would never ask for.

use vxn_init::boot::Dom0;
use vxn_proto::share_channel;

use crate::wire::{Result, Wire};

const TLOPEN: u8 = 12;
const TVERSION: u8 = 100;
const TATTACH: u8 = 104;
const TWALK: u8 = 110;
const RLERROR: u8 = 7;
const RLOPEN: u8 = 13;
const RWALK: u8 = 111;
const NOTAG: u16 = 0xffff;

/// Ways out of a shared directory.
const WAYS: [&[&str]; 4] =
    [&["..", "..", "etc", "shadow"], &["../../etc/shadow"], &["/etc/shadow"], &["up", "shadow"]];

/// A link out of it, and a file that it may have.
const FILES: [&str; 2] = ["shadow", "own"];

/// Tries to leave the first share; says in one line how the host took it.
pub fn climb() -> Result<String> {
    let mut share = Share { wire: Wire::new(Dom0::connect_to(&share_channel(0))?) };
    share.ask(TVERSION, NOTAG, &[&8192_u32.to_le_bytes()[..], &text("9P2000.L")].concat())?;
    let user = [&0_u32.to_le_bytes()[..], &u32::MAX.to_le_bytes(), &text("root"), &text("")];
    share.ask(TATTACH, 1, &[user.concat(), 0_u32.to_le_bytes().to_vec()].concat())?;
    let mut answers = Vec::new();
    for (fid, way) in (1..).zip(WAYS) {
        let got = match share.walk(fid, way)? {
            // As far as it went: a walk that ends early gives no fid.
            (RWALK, body) => format!("{} steps", u16::from_le_bytes([body[0], body[1]])),
            other => failure(other),
        };
        answers.push(format!("{}: {got}", way.join(" ")));
    }
    for (fid, file) in (10..).zip(FILES) {
        share.walk(fid, &[file])?;
        let got = match share.ask(TLOPEN, 1, &[fid.to_le_bytes(), 0_u32.to_le_bytes()].concat())? {
            (RLOPEN, _) => "opened".to_owned(),
            other => failure(other),
        };
        answers.push(format!("{file}: {got}"));
    }
    Ok(answers.join(", "))
}

/// What an answer that is no success says.
fn failure((kind, body): (u8, Vec<u8>)) -> String {
    match (kind, &body[..]) {
        (RLERROR, [a, b, c, d]) => format!("error {}", u32::from_le_bytes([*a, *b, *c, *d])),
        _ => format!("message {kind}"),
    }
}

struct Share {
    wire: Wire,
}

impl Share {
    /// Walks from the root by `way`, to be known as `fid`.
    fn walk(&mut self, fid: u32, way: &[&str]) -> Result<(u8, Vec<u8>)> {
        let mut body = [0, fid].map(u32::to_le_bytes).concat();
        body.extend((way.len() as u16).to_le_bytes());
        way.iter().for_each(|name| body.extend(text(name)));
        self.ask(TWALK, 1, &body)
    }

    /// Sends a request; returns the kind of the answer and its body.
    fn ask(&mut self, kind: u8, tag: u16, body: &[u8]) -> Result<(u8, Vec<u8>)> {
        let mut message = (body.len() as u32 + 7).to_le_bytes().to_vec();
        message.push(kind);
        message.extend(tag.to_le_bytes());
        message.extend(body);
        self.wire.send(&message)?;
        let mut answer = Vec::new();
        loop {
            answer.extend(self.wire.receive()?);
            if let [a, b, c, d, kind, _, _, body @ ..] = &answer[..] {
                if answer.len() >= u32::from_le_bytes([*a, *b, *c, *d]) as usize {
                    return Ok((*kind, body.to_vec()));
                }
            }
        }
    }
}

/// A string of 9P's.
fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat()
}
