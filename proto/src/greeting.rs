//! The first bytes on every link: version and features, which session, and how far each end got.
//!
//! The agent speaks first, with [`Hello`], as soon as it runs; whatever the link brings before is
//! noise of login shells and not ours. The client answers with [`Attach`]; the agent confirms
//! with [`Attached`], and frames follow. In a new session the client need not wait for that: the agent's
//! limits are in its hello.

use crate::Violation;

/// The protocol's version: both ends must speak the same.
pub const VERSION: u16 = 1;
/// What the agent's first bytes are; no login banner prints it.
pub const MAGIC: [u8; 8] = *b"\0shuttl\xfe";

/// The agent's first words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Protocol version.
    pub version: u16,
    /// What it can do, one bit each; none is defined yet.
    pub features: u32,
    /// Bytes that the client may send on each new stream.
    pub window: u32,
    /// Streams that may be open at once.
    pub streams: u32,
}

/// The client's answer: which session this link is for.
#[derive(Clone, PartialEq, Eq)]
pub struct Attach {
    /// Protocol version.
    pub version: u16,
    /// What it can do, one bit each; none is defined yet.
    pub features: u32,
    /// Which session.
    pub session: [u8; 16],
    /// Proof that it is the same client; never in argv, environment or a log.
    pub secret: [u8; 32],
    /// Whether the session should exist already.
    pub resume: bool,
    /// Session bytes received from the agent so far.
    pub received: u64,
    /// Bytes that the agent may send on each new stream.
    pub window: u32,
    /// Streams that may be open at once.
    pub streams: u32,
}

/// The agent's confirmation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Zero, or a [`Refusal`]'s code.
    pub refusal: u16,
    /// Session bytes received from the client so far.
    pub received: u64,
}

impl Hello {
    /// Bytes on the wire.
    pub const LENGTH: usize = 22;

    /// The wire form.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut out = Writer::new();
        out.put(&MAGIC).put(&self.version.to_be_bytes()).put(&self.features.to_be_bytes());
        out.put(&self.window.to_be_bytes()).put(&self.streams.to_be_bytes());
        out.done()
    }

    /// Reads the wire form.
    pub fn decode(bytes: &[u8; Self::LENGTH]) -> Result<Self, Violation> {
        let mut bytes = Reader(bytes);
        bytes.magic()?;
        Ok(Self { version: bytes.u16(), features: bytes.u32(), window: bytes.u32(), streams: bytes.u32() })
    }
}

impl Attach {
    /// Bytes on the wire.
    pub const LENGTH: usize = 79;

    /// The wire form.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut out = Writer::new();
        out.put(&MAGIC).put(&self.version.to_be_bytes()).put(&self.features.to_be_bytes());
        out.put(&self.session).put(&self.secret).put(&[u8::from(self.resume)]);
        out.put(&self.received.to_be_bytes()).put(&self.window.to_be_bytes());
        out.put(&self.streams.to_be_bytes());
        out.done()
    }

    /// Reads the wire form.
    pub fn decode(bytes: &[u8; Self::LENGTH]) -> Result<Self, Violation> {
        let mut bytes = Reader(bytes);
        bytes.magic()?;
        Ok(Self {
            version: bytes.u16(),
            features: bytes.u32(),
            session: bytes.take(),
            secret: bytes.take(),
            resume: match bytes.take() {
                [0] => false,
                [1] => true,
                _ => return Err(Violation::BadGreeting),
            },
            received: bytes.u64(),
            window: bytes.u32(),
            streams: bytes.u32(),
        })
    }
}

impl Attached {
    /// Bytes on the wire.
    pub const LENGTH: usize = 18;

    /// The wire form.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut out = Writer::new();
        out.put(&MAGIC).put(&self.refusal.to_be_bytes()).put(&self.received.to_be_bytes());
        out.done()
    }

    /// Reads the wire form.
    pub fn decode(bytes: &[u8; Self::LENGTH]) -> Result<Self, Violation> {
        let mut bytes = Reader(bytes);
        bytes.magic()?;
        Ok(Self { refusal: bytes.u16(), received: bytes.u64() })
    }
}

/// Why an agent does not take a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It speaks another version.
    Version,
    /// There is no such session: it ended, or the machine was restarted.
    NoSession,
    /// The secret is wrong.
    WrongSecret,
}

impl Refusal {
    /// The number in [`Attached::refusal`]; never zero.
    pub const fn code(self) -> u16 {
        match self {
            Self::Version => 1,
            Self::NoSession => 2,
            Self::WrongSecret => 3,
        }
    }

    /// What the number means.
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Version),
            2 => Some(Self::NoSession),
            3 => Some(Self::WrongSecret),
            _ => None,
        }
    }
}

impl core::fmt::Debug for Attach {
    /// Without the secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Attach")
            .field("version", &self.version)
            .field("session", &self.session)
            .field("resume", &self.resume)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// Fills a fixed-size greeting; its users' lengths are constants, checked by the tests below.
struct Writer<const N: usize> {
    out: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    fn new() -> Self {
        Self { out: [0; N], at: 0 }
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        self
    }

    fn done(self) -> [u8; N] {
        debug_assert_eq!(self.at, N);
        self.out
    }
}

/// Reads a fixed-size greeting; the sizes were checked by the array type.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let (head, rest) = self.0.split_at(N);
        out.copy_from_slice(head);
        self.0 = rest;
        out
    }

    fn magic(&mut self) -> Result<(), Violation> {
        if self.take() == MAGIC { Ok(()) } else { Err(Violation::BadGreeting) }
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_greeting_survives_the_wire() {
        let hello = Hello { version: 7, features: 9, window: 5, streams: 6 };
        assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
        let attach = Attach {
            version: 1,
            features: 2,
            session: [3; 16],
            secret: [4; 32],
            resume: true,
            received: 1 << 40,
            window: 5,
            streams: 6,
        };
        assert_eq!(Attach::decode(&attach.encode()), Ok(attach));
        let attached = Attached { refusal: 0, received: 1 << 50 };
        assert_eq!(Attached::decode(&attached.encode()), Ok(attached));
    }

    #[test]
    fn each_refusal_has_a_number_of_its_own_and_none_has_zero() {
        for refusal in [Refusal::Version, Refusal::NoSession, Refusal::WrongSecret] {
            assert_eq!(Refusal::from_code(refusal.code()), Some(refusal));
        }
        assert_eq!(Refusal::from_code(0), None);
        assert_eq!(Refusal::from_code(4), None);
    }

    #[test]
    fn garbage_is_named_as_such() {
        assert_eq!(Hello::decode(&[b'x'; Hello::LENGTH]), Err(Violation::BadGreeting));
        let mut wire = [0; Attach::LENGTH];
        wire[..8].copy_from_slice(&MAGIC);
        assert!(Attach::decode(&wire).is_ok());
        wire[62] = 2;
        assert_eq!(Attach::decode(&wire), Err(Violation::BadGreeting));
    }
}
