//! What a stream is opened to: an address on the wire.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest encoded target, in bytes.
pub const MAX_TARGET: usize = 256;

/// Where the accepting side connects a stream to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A TCP connection to this address.
    Tcp(SocketAddr),
}

const TCP_V4: u8 = 1;
const TCP_V6: u8 = 2;

impl Target {
    /// Writes the wire form into `out` and returns its length, at most [`MAX_TARGET`].
    pub fn encode(&self, out: &mut [u8; MAX_TARGET]) -> usize {
        match self {
            Self::Tcp(address) => {
                let at = match address.ip() {
                    IpAddr::V4(ip) => {
                        out[0] = TCP_V4;
                        out[1..5].copy_from_slice(&ip.octets());
                        5
                    }
                    IpAddr::V6(ip) => {
                        out[0] = TCP_V6;
                        out[1..17].copy_from_slice(&ip.octets());
                        17
                    }
                };
                out[at..at + 2].copy_from_slice(&address.port().to_be_bytes());
                at + 2
            }
        }
    }

    /// Reads the wire form; `None` when it is not exactly one target of a known kind.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        match kind {
            TCP_V4 => {
                let rest: [u8; 6] = rest.try_into().ok()?;
                let [a, b, c, d, high, low] = rest;
                let ip = Ipv4Addr::new(a, b, c, d);
                Some(Self::Tcp(SocketAddr::new(ip.into(), u16::from_be_bytes([high, low]))))
            }
            TCP_V6 => {
                let rest: [u8; 18] = rest.try_into().ok()?;
                let (ip, port) = rest.split_at(16);
                let ip = Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?);
                Some(Self::Tcp(SocketAddr::new(ip.into(), u16::from_be_bytes(port.try_into().ok()?))))
            }
            _ => None,
        }
    }
}

impl core::fmt::Display for Target {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp {address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire_and_a_missing_or_extra_byte_does_not() {
        for text in ["10.1.2.3:80", "[2001:db8::1]:65535"] {
            let target = Target::Tcp(text.parse().unwrap());
            let mut wire = [0; MAX_TARGET];
            let length = target.encode(&mut wire);
            assert_eq!(Target::decode(&wire[..length]), Some(target));
            assert_eq!(Target::decode(&wire[..length - 1]), None);
            assert_eq!(Target::decode(&wire[..length + 1]), None);
        }
        assert_eq!(Target::decode(&[]), None);
        assert_eq!(Target::decode(&[99, 0]), None);
    }
}
