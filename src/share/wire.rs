//! Numbers and strings of 9P: little endian, strings with a length of 16 bits.

/// Bytes that are no 9P. The stream is out of step afterwards and must be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A size that no message has.
    #[error(
        "a 9P message of {size} bytes, from {} to {limit} are allowed",
        super::connection::HEADER
    )]
    Size {
        /// What the message says.
        size: usize,
        /// The most there may be.
        limit: usize,
    },
    /// A message that ends before its last field.
    #[error("a 9P message of type {kind} is too short")]
    Short {
        /// The type.
        kind: u8,
    },
}

/// A message ended too early.
#[derive(Debug)]
pub struct TooShort;

/// Takes a message's body apart.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], TooShort> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(TooShort)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TooShort> {
        self.bytes(N)?.try_into().map_err(|_| TooShort)
    }

    /// A number of 8 bits.
    pub fn u8(&mut self) -> Result<u8, TooShort> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// A number of 16 bits.
    pub fn u16(&mut self) -> Result<u16, TooShort> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// A number of 32 bits.
    pub fn u32(&mut self) -> Result<u32, TooShort> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A number of 64 bits.
    pub fn u64(&mut self) -> Result<u64, TooShort> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A string, which is any bytes.
    pub fn string(&mut self) -> Result<&'a [u8], TooShort> {
        let length = self.u16()?;
        self.bytes(length.into())
    }
}

/// Puts a message's fields behind one another.
pub trait Write9p {
    /// Bytes as they are.
    fn put(&mut self, bytes: &[u8]);

    /// A number of 8 bits.
    fn put_u8(&mut self, number: u8) {
        self.put(&[number]);
    }

    /// A number of 16 bits.
    fn put_u16(&mut self, number: u16) {
        self.put(&number.to_le_bytes());
    }

    /// A number of 32 bits.
    fn put_u32(&mut self, number: u32) {
        self.put(&number.to_le_bytes());
    }

    /// A number of 64 bits.
    fn put_u64(&mut self, number: u64) {
        self.put(&number.to_le_bytes());
    }

    /// A string of at most 65535 bytes; names and targets of links are shorter.
    fn put_string(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(u16::MAX.into())];
        self.put_u16(bytes.len() as u16);
        self.put(bytes);
    }
}

impl Write9p for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}
