//! What the peer did wrong: each ends the session with a code that says which.

macro_rules! violations {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// A breach of the protocol by the peer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Violation { $($(#[$doc])* $name,)* }

        impl Violation {
            /// All that this version knows.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number on the wire.
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }

            /// What the number on the wire means.
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }

        impl core::fmt::Display for Violation {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)* })
            }
        }

        impl core::error::Error for Violation {}
    };
}

violations! {
    /// A frame kind that this version does not know.
    UnknownKind = 1, "frame of an unknown kind";
    /// A frame longer than its kind allows.
    Oversized = 2, "oversized frame";
    /// A frame whose payload is not what its kind demands.
    Malformed = 3, "malformed frame";
    /// A frame for a stream that does not exist.
    UnknownStream = 4, "frame for an unknown stream";
    /// An open for a stream that exists, or whose number is not the peer's to choose.
    StreamTaken = 5, "open of a stream that is not free";
    /// More streams than were allowed.
    TooManyStreams = 6, "too many streams";
    /// More data than was granted.
    CreditOverrun = 7, "more data than granted";
    /// More credit than a sender can count.
    CreditOverflow = 8, "credit beyond its bound";
    /// Data, finish or accept where the stream's state forbids it.
    WrongState = 9, "frame that the stream's state forbids";
    /// An acknowledgement of bytes that were never sent, or of less than before.
    BadAcknowledgement = 10, "acknowledgement out of range";
    /// A greeting that is not one, or from an unknown version.
    BadGreeting = 11, "malformed greeting";
    /// A resume from a position that the send ring does not hold.
    BadResume = 12, "resume from an impossible position";
}
