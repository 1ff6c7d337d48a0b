//! Why a stream was reset: errno numbers differ between architectures, so the wire has its own.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why a stream ended early.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All that this version knows.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number on the wire.
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }

            /// What the number on the wire means; unknown ones become [`Reason::Other`].
            pub const fn from_code(code: u16) -> Self {
                match code { $($code => Self::$name,)* _ => Self::Other }
            }

            /// A few words for a log line.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

reasons! {
    /// Any cause that has no code of its own.
    Other = 0, "failed";
    /// The application went away or reset its connection.
    Reset = 1, "connection reset";
    /// ECONNREFUSED.
    Refused = 2, "connection refused";
    /// ENETUNREACH.
    NetworkUnreachable = 3, "network is unreachable";
    /// EHOSTUNREACH.
    HostUnreachable = 4, "no route to host";
    /// ETIMEDOUT.
    TimedOut = 5, "timed out";
    /// EACCES or EPERM: the far end's policy forbids it.
    Forbidden = 6, "not permitted";
    /// EADDRNOTAVAIL.
    AddressNotAvailable = 7, "address not available";
    /// EMFILE, ENFILE, ENOBUFS or ENOMEM: the far end ran out of something.
    Exhausted = 8, "out of resources";
    /// EAFNOSUPPORT: the far end has no such address family.
    FamilyNotSupported = 9, "address family not supported";
    /// The far end does not know this kind of target.
    Unsupported = 10, "kind of target not supported";
    /// The session is ending.
    Closing = 11, "session is closing";
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_come_back() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(Reason::from_code(reason.code()), *reason);
            assert!(Reason::ALL[..index].iter().all(|other| other.code() != reason.code()));
        }
        assert_eq!(Reason::from_code(60_000), Reason::Other);
    }
}
