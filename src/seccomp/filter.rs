//! A filter as it is kept with a container.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vxn_proto::{Instruction, Seccomp};

/// A compiled filter, and what it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The user's word for the profile; empty if a configuration has it in it.
    pub profile: String,
    /// `SECCOMP_FILTER_FLAG_*` of seccomp(2).
    pub flags: u32,
    /// The program. Thousands of numbers: as text in base64, or whoever lists containers
    /// would read them one by one.
    #[serde(serialize_with = "write", deserialize_with = "read")]
    pub program: Vec<Instruction>,
}

impl From<Filter> for Seccomp {
    fn from(Filter { flags, program, .. }: Filter) -> Seccomp {
        Seccomp { flags, program }
    }
}

/// The instructions in `bytes`, as they are in memory; `None` if one is cut off.
pub(super) fn instructions(bytes: &[u8]) -> Option<Vec<Instruction>> {
    let chunks = bytes.chunks(Instruction::BYTES);
    chunks.map(|chunk| Some(Instruction::from_bytes(chunk.try_into().ok()?))).collect()
}

fn write<S: Serializer>(program: &[Instruction], out: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = program.iter().flat_map(|one| one.to_bytes()).collect();
    out.serialize_str(&STANDARD.encode(bytes))
}

fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Instruction>, D::Error> {
    let text = String::deserialize(from)?;
    let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
    instructions(&bytes).ok_or_else(|| serde::de::Error::custom("a filter is cut off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_as_it_was_written() {
        let program = vec![Instruction { code: 6, jt: 1, jf: 2, k: 0x7fff_0000 }; 3];
        let filter = Filter { profile: "p.json".to_owned(), flags: 4, program };
        let mut json = serde_json::to_value(&filter).unwrap();
        assert_eq!(json["program"].as_str().unwrap().len(), 32);
        assert_eq!(serde_json::from_value::<Filter>(json.clone()).unwrap(), filter);
        for bad in ["BgA=", "!"] {
            json["program"] = bad.into();
            assert!(serde_json::from_value::<Filter>(json.clone()).is_err(), "{bad}");
        }
    }
}
