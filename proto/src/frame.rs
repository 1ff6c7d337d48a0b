//! The wire format of frames, and its checked parser.
//!
//! A frame is a header of six bytes and a payload: kind (1), stream (3), payload length (2), big-endian.
//! Kinds below 0x80 are *session* frames: their bytes are numbered, kept until acknowledged and repeated
//! on the next link. Kinds from 0x80 belong to the link they came over and are not numbered.

use crate::Violation;
use crate::target::MAX_TARGET;

/// Bytes of a header.
pub const HEADER: usize = 6;
/// The most that a control frame's payload may be.
const MAX_CONTROL: usize = MAX_TARGET;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The client opens a stream; payload: a target.
    Open = 1,
    /// The agent's connection is up.
    Accept = 2,
    /// Bytes of a stream.
    Data = 3,
    /// The receiver grants more bytes; payload: how many (4).
    Credit = 4,
    /// The sender sends no more on this stream.
    Finish = 5,
    /// The stream is over, in both directions; payload: a reason (2).
    Reset = 6,
    /// The agent has forgotten the stream: the client may use its number again.
    Release = 7,
    /// The session is over; payload: zero, or a violation's code (2).
    Close = 8,
    /// Link: session bytes received (8), the receiver's clock in microseconds (4), for how many
    /// microseconds the acknowledgement was held back (4).
    Ack = 0x80,
    /// Link: please acknowledge.
    Probe = 0x81,
}

impl Kind {
    /// Whether bytes of this kind are numbered and repeated.
    pub const fn is_session(self) -> bool {
        (self as u8) < 0x80
    }

    const fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Open,
            2 => Self::Accept,
            3 => Self::Data,
            4 => Self::Credit,
            5 => Self::Finish,
            6 => Self::Reset,
            7 => Self::Release,
            8 => Self::Close,
            0x80 => Self::Ack,
            0x81 => Self::Probe,
            _ => return None,
        })
    }

    /// The payload lengths that are allowed: least and most.
    const fn lengths(self) -> (usize, usize) {
        match self {
            Self::Open => (1, MAX_TARGET),
            Self::Data => (1, u16::MAX as usize),
            Self::Accept | Self::Finish | Self::Release | Self::Probe => (0, 0),
            Self::Reset | Self::Close => (2, 2),
            Self::Credit => (4, 4),
            Self::Ack => (16, 16),
        }
    }
}

/// The first six bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is for.
    pub kind: Kind,
    /// Which stream, below 2^24; zero where none is meant.
    pub stream: u32,
    /// Bytes of payload that follow.
    pub length: u16,
}

impl Header {
    /// The wire form.
    pub const fn encode(self) -> [u8; HEADER] {
        let [_, high, middle, low] = self.stream.to_be_bytes();
        let [long, short] = self.length.to_be_bytes();
        [self.kind as u8, high, middle, low, long, short]
    }

    /// Reads and checks the wire form.
    pub fn decode(bytes: [u8; HEADER]) -> Result<Self, Violation> {
        let [kind, high, middle, low, long, short] = bytes;
        let kind = Kind::of(kind).ok_or(Violation::UnknownKind)?;
        let length = u16::from_be_bytes([long, short]);
        let (least, most) = kind.lengths();
        if usize::from(length) > most {
            return Err(Violation::Oversized);
        }
        if usize::from(length) < least {
            return Err(Violation::Malformed);
        }
        Ok(Self { kind, stream: u32::from_be_bytes([0, high, middle, low]), length })
    }
}

/// A parsed frame; data comes in pieces, as the link brought them.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A piece of a data frame's payload.
    Data {
        /// The stream that it belongs to.
        stream: u32,
        /// A part of what was handed in.
        bytes: &'a [u8],
    },
    /// Any other frame, whole.
    Control {
        /// Its header.
        header: Header,
        /// Its payload, of an allowed length.
        payload: &'a [u8],
    },
}

/// Cuts a link's bytes into frames; keeps at most one incomplete control frame.
#[derive(Debug)]
pub struct Parser {
    /// The start of a frame whose rest has not come.
    partial: [u8; HEADER + MAX_CONTROL],
    filled: usize,
    /// The data frame whose payload is under way.
    data: Option<(u32, usize)>,
    /// Session bytes taken.
    position: u64,
}

impl Parser {
    pub(crate) const fn new() -> Self {
        Self { partial: [0; HEADER + MAX_CONTROL], filled: 0, data: None, position: 0 }
    }

    /// Session bytes taken so far: where the peer goes on over a new link.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// The link is gone; the peer repeats what was not counted.
    pub(crate) fn forget_partial(&mut self) {
        self.filled = 0;
    }

    /// Takes at most one frame, or one piece of data, from `bytes`: how much it took, and the frame.
    /// It takes something whenever `bytes` is not empty.
    pub(crate) fn parse<'a>(&'a mut self, bytes: &'a [u8]) -> Result<(usize, Option<Frame<'a>>), Violation> {
        if let Some((stream, left)) = self.data {
            let count = left.min(bytes.len());
            self.data = (left > count).then_some((stream, left - count));
            self.position += count as u64;
            let piece = Frame::Data { stream, bytes: &bytes[..count] };
            return Ok((count, (count > 0).then_some(piece)));
        }
        // The common case: the header is here in one piece.
        if self.filled == 0
            && let Some(&head) = bytes.first_chunk::<HEADER>()
        {
            let header = Header::decode(head)?;
            let whole = HEADER + usize::from(header.length);
            if header.kind == Kind::Data {
                self.begin_data(header);
                return Ok((HEADER, None));
            }
            if let Some(frame) = bytes.get(..whole) {
                self.count(header, whole);
                return Ok((whole, Some(Frame::Control { header, payload: &frame[HEADER..] })));
            }
        }
        self.gather(bytes)
    }

    /// Adds to the incomplete frame; gives it out once it is whole.
    fn gather<'a>(&'a mut self, bytes: &[u8]) -> Result<(usize, Option<Frame<'a>>), Violation> {
        let mut taken = self.fill(HEADER, bytes);
        if self.filled < HEADER {
            return Ok((taken, None));
        }
        let mut head = [0; HEADER];
        head.copy_from_slice(&self.partial[..HEADER]);
        let header = Header::decode(head)?;
        if header.kind == Kind::Data {
            self.filled = 0;
            self.begin_data(header);
            return Ok((taken, None));
        }
        let whole = HEADER + usize::from(header.length);
        taken += self.fill(whole, &bytes[taken..]);
        if self.filled < whole {
            return Ok((taken, None));
        }
        self.filled = 0;
        self.count(header, whole);
        Ok((taken, Some(Frame::Control { header, payload: &self.partial[HEADER..whole] })))
    }

    fn fill(&mut self, until: usize, bytes: &[u8]) -> usize {
        let count = until.saturating_sub(self.filled).min(bytes.len());
        self.partial[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
        self.filled += count;
        count
    }

    fn begin_data(&mut self, header: Header) {
        self.data = Some((header.stream, usize::from(header.length)));
        self.position += HEADER as u64;
    }

    fn count(&mut self, header: Header, whole: usize) {
        if header.kind.is_session() {
            self.position += whole as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn parse_in_chunks(wire: &[u8], chunk: usize) -> Result<(Vec<u8>, Vec<Header>, u64), Violation> {
        let mut parser = Parser::new();
        let (mut data, mut headers) = (Vec::new(), Vec::new());
        for mut bytes in wire.chunks(chunk) {
            while !bytes.is_empty() {
                let (taken, frame) = parser.parse(bytes)?;
                assert!(taken > 0);
                match frame {
                    Some(Frame::Data { bytes, .. }) => data.extend_from_slice(bytes),
                    Some(Frame::Control { header, .. }) => headers.push(header),
                    None => {}
                }
                bytes = &bytes[taken..];
            }
        }
        Ok((data, headers, parser.position()))
    }

    #[test]
    fn any_chunking_gives_the_same_frames_and_counts_only_session_bytes() {
        let mut wire = Vec::new();
        let mut frame = |kind, stream, payload: &[u8]| {
            let length = u16::try_from(payload.len()).unwrap();
            wire.extend_from_slice(&Header { kind, stream, length }.encode());
            wire.extend_from_slice(payload);
        };
        frame(Kind::Open, 0, &[1, 10, 0, 0, 1, 0, 80]);
        frame(Kind::Data, 0, &[7; 1000]);
        frame(Kind::Ack, 0, &[0; 16]);
        frame(Kind::Finish, 0, &[]);
        let session = wire.len() as u64 - (HEADER as u64 + 16);
        for chunk in 1..wire.len() {
            let (data, headers, position) = parse_in_chunks(&wire, chunk).unwrap();
            assert_eq!((data.len(), headers.len(), position), (1000, 3, session), "chunks of {chunk}");
        }
    }

    #[test]
    fn each_bad_header_is_named() {
        let decode = |kind: u8, length: u16| {
            let [long, short] = length.to_be_bytes();
            Header::decode([kind, 0, 0, 1, long, short])
        };
        assert_eq!(decode(0, 0), Err(Violation::UnknownKind));
        assert_eq!(decode(Kind::Open as u8, 257), Err(Violation::Oversized));
        assert_eq!(decode(Kind::Data as u8, 0), Err(Violation::Malformed));
        assert_eq!(decode(Kind::Reset as u8, 1), Err(Violation::Malformed));
        assert!(decode(Kind::Data as u8, u16::MAX).is_ok());
    }
}
