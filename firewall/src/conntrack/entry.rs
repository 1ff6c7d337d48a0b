//! What the kernel says of one tracked connection, and the messages to it: bytes in, bytes out.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::libc;

use crate::nft::netlink::cut_short;

/// Bytes of a netlink header, and of the netfilter header after it.
const HEADERS: usize = 16 + 4;

/// What a message is about: `IPCTNL_MSG_CT_*` below `NFNL_SUBSYS_CTNETLINK`.
const SUBSYSTEM: u16 = (libc::NFNL_SUBSYS_CTNETLINK as u16) << 8;
const NEW: u16 = SUBSYSTEM;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;

/// Attributes of a connection: `CTA_*` in linux/netfilter/nfnetlink_conntrack.h.
const TUPLE_ORIGINAL: u16 = 1;
const STATUS: u16 = 3;
const PROTOCOL_STATE: u16 = 4;
const ID: u16 = 12;
const ZONE: u16 = 18;

/// Attributes within a tuple, and within its two parts.
const TUPLE_ADDRESSES: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const V4_DESTINATION: u16 = 2;
const V6_DESTINATION: u16 = 4;
const PROTOCOL_NUMBER: u16 = 1;
const DESTINATION_PORT: u16 = 3;

/// Attributes within the protocol's state, and within TCP's.
const TCP: u16 = 1;
const TCP_STATE: u16 = 1;

/// `TCP_CONNTRACK_SYN_SENT`.
const SYN_SENT: u8 = 1;

/// Bits of the status: `IPS_*` in linux/netfilter/nf_conntrack_common.h.
const SEEN_REPLY: u32 = 1 << 1;
const DESTINATION_CHANGED: u32 = 1 << 5;

/// A tracked TCP connection.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    family: u8,
    /// The addresses and ports of the side that began it, in the kernel's own words.
    tuple: &'a [u8],
    zone: Option<&'a [u8]>,
    /// Tells it from a later one of the same addresses and ports.
    id: &'a [u8],
    status: u32,
    state: Option<u8>,
    /// Where it was meant to go.
    pub(super) destination: SocketAddr,
}

impl<'a> Entry<'a> {
    /// Reads one message of a listing; `None` if it is not about a TCP connection.
    pub(super) fn parse(message: &'a [u8]) -> io::Result<Option<Entry<'a>>> {
        let (headers, attributes) = message.split_first_chunk::<HEADERS>().ok_or_else(cut_short)?;
        if u16::from_ne_bytes([headers[4], headers[5]]) != NEW {
            return Ok(None);
        }
        let tuple = required(attributes, TUPLE_ORIGINAL)?;
        let protocol = required(tuple, TUPLE_PROTOCOL)?;
        let [number] = exactly(required(protocol, PROTOCOL_NUMBER)?)?;
        if libc::c_int::from(number) != libc::IPPROTO_TCP {
            return Ok(None);
        }
        let port = u16::from_be_bytes(exactly(required(protocol, DESTINATION_PORT)?)?);
        let address = destination_address(required(tuple, TUPLE_ADDRESSES)?)?;
        Ok(Some(Entry {
            family: headers[16],
            tuple,
            zone: attribute(attributes, ZONE)?,
            id: required(attributes, ID)?,
            status: u32::from_be_bytes(exactly(required(attributes, STATUS)?)?),
            state: tcp_state(attributes)?,
            destination: SocketAddr::new(address, port),
        }))
    }

    /// Whether it has only been tried so far, and goes where it was meant to go. The state is asked too: of a
    /// connection from before the tracking, the kernel may have seen but one side's data yet.
    pub(super) fn is_unanswered(&self) -> bool {
        self.state == Some(SYN_SENT) && self.status & (SEEN_REPLY | DESTINATION_CHANGED) == 0
    }

    /// The request to forget this very connection.
    pub(super) fn deletion(&self) -> Vec<u8> {
        let mut message = request(DELETE, libc::NLM_F_ACK, self.family);
        push(&mut message, TUPLE_ORIGINAL | libc::NLA_F_NESTED as u16, self.tuple);
        if let Some(zone) = self.zone {
            push(&mut message, ZONE, zone);
        }
        push(&mut message, ID, self.id);
        finished(message)
    }
}

/// The request for all tracked connections, of both families.
pub(super) fn list_all() -> Vec<u8> {
    finished(request(GET, libc::NLM_F_DUMP, libc::AF_UNSPEC as u8))
}

fn destination_address(addresses: &[u8]) -> io::Result<IpAddr> {
    Ok(match attribute(addresses, V4_DESTINATION)? {
        Some(v4) => Ipv4Addr::from(exactly::<4>(v4)?).into(),
        None => Ipv6Addr::from(exactly::<16>(required(addresses, V6_DESTINATION)?)?).into(),
    })
}

fn tcp_state(attributes: &[u8]) -> io::Result<Option<u8>> {
    let Some(protocol) = attribute(attributes, PROTOCOL_STATE)? else { return Ok(None) };
    let Some(tcp) = attribute(protocol, TCP)? else { return Ok(None) };
    let Some(state) = attribute(tcp, TCP_STATE)? else { return Ok(None) };
    let [state] = exactly(state)?;
    Ok(Some(state))
}

/// The value of the first attribute of a kind.
fn attribute(mut attributes: &[u8], wanted: u16) -> io::Result<Option<&[u8]>> {
    while !attributes.is_empty() {
        let [l, m, k, n] = *attributes.first_chunk().ok_or_else(cut_short)?;
        let length = usize::from(u16::from_ne_bytes([l, m]));
        // Two bits of the kind say how its value is written.
        let kind = u16::from_ne_bytes([k, n]) & libc::NLA_TYPE_MASK as u16;
        let value = attributes.get(4..length).ok_or_else(cut_short)?;
        if kind == wanted {
            return Ok(Some(value));
        }
        // The last one may come without its padding.
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(None)
}

fn required(attributes: &[u8], wanted: u16) -> io::Result<&[u8]> {
    let missing = || io::Error::other(format!("a tracked connection without attribute {wanted}"));
    attribute(attributes, wanted)?.ok_or_else(missing)
}

fn exactly<const N: usize>(value: &[u8]) -> io::Result<[u8; N]> {
    value.try_into().map_err(|_| io::Error::other(format!("{} bytes where {N} belong", value.len())))
}

/// A message's headers; the length is still to come.
fn request(kind: u16, flags: libc::c_int, family: u8) -> Vec<u8> {
    let flags = (libc::NLM_F_REQUEST | flags) as u16;
    let mut message = vec![0; HEADERS];
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[6..8].copy_from_slice(&flags.to_ne_bytes());
    message[16] = family;
    message
}

/// Adds an attribute; values come from attributes, so their length fits.
fn push(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = (4 + value.len()) as u16;
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn finished(mut message: Vec<u8>) -> Vec<u8> {
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(parts: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, value) in parts {
            push(&mut bytes, *kind, value);
        }
        bytes
    }

    /// As the kernel lists a connection; of the attributes that we do not read, one.
    fn listed(addresses: &[u8], protocol: u8, status: u32, state: u8, zone: Option<[u8; 2]>) -> Vec<u8> {
        let ports =
            nested(&[(PROTOCOL_NUMBER, &[protocol]), (2, &[0x9c, 0x40]), (DESTINATION_PORT, &[0, 7])]);
        let tuple = nested(&[(TUPLE_ADDRESSES | 0x8000, addresses), (TUPLE_PROTOCOL | 0x8000, &ports)]);
        let tcp = nested(&[(TCP | 0x8000, &nested(&[(TCP_STATE, &[state]), (2, &[7])]))]);
        let mut message = request(NEW, libc::NLM_F_MULTI, libc::AF_INET as u8);
        message.extend(nested(&[
            (TUPLE_ORIGINAL | 0x8000, &tuple),
            (2 | 0x8000, &tuple),
            (STATUS, &status.to_be_bytes()),
            (PROTOCOL_STATE | 0x8000, &tcp),
            (ID, &[1, 2, 3, 4]),
        ]));
        if let Some(zone) = zone {
            push(&mut message, ZONE, &zone);
        }
        finished(message)
    }

    fn v4() -> Vec<u8> {
        nested(&[(1, &[172, 31, 0, 1]), (V4_DESTINATION, &[10, 5, 0, 1])])
    }

    #[test]
    fn only_a_first_segment_that_nobody_answered_or_redirected_is_unanswered() {
        const CONFIRMED: u32 = 1 << 3;
        let unanswered = |status, state| {
            Entry::parse(&listed(&v4(), 6, status, state, None)).unwrap().unwrap().is_unanswered()
        };
        assert!(unanswered(CONFIRMED, SYN_SENT));
        assert!(!unanswered(CONFIRMED | SEEN_REPLY, SYN_SENT));
        assert!(!unanswered(CONFIRMED | DESTINATION_CHANGED, SYN_SENT));
        assert!(!unanswered(CONFIRMED, 3), "established");
    }

    #[test]
    fn destinations_of_both_families_are_read_and_other_protocols_passed_over() {
        let destination =
            |listed: &[u8]| Entry::parse(listed).unwrap().map(|entry| entry.destination.to_string());
        assert_eq!(destination(&listed(&v4(), 6, 0, 1, None)).as_deref(), Some("10.5.0.1:7"));
        let address: Ipv6Addr = "fd00:5::1".parse().unwrap();
        let v6 = nested(&[(3, &[0; 16]), (V6_DESTINATION, &address.octets())]);
        assert_eq!(destination(&listed(&v6, 6, 0, 1, None)).as_deref(), Some("[fd00:5::1]:7"));
        assert_eq!(destination(&listed(&v4(), 17, 0, 1, None)), None);
    }

    #[test]
    fn a_deletion_names_the_very_connection_and_its_zone() {
        let listed = listed(&v4(), 6, 0, SYN_SENT, Some([0, 9]));
        let entry = Entry::parse(&listed).unwrap().unwrap();
        let deletion = entry.deletion();
        let (headers, attributes) = deletion.split_first_chunk::<HEADERS>().unwrap();
        assert_eq!(u32::from_ne_bytes(*headers.first_chunk().unwrap()) as usize, deletion.len());
        assert_eq!(u16::from_ne_bytes([headers[4], headers[5]]), DELETE);
        assert_eq!(i32::from(headers[16]), libc::AF_INET);
        let whole = &listed[HEADERS..];
        for kind in [TUPLE_ORIGINAL, ID, ZONE] {
            assert_eq!(required(attributes, kind).unwrap(), required(whole, kind).unwrap());
        }
        assert!(attribute(attributes, STATUS).unwrap().is_none());
    }

    #[test]
    fn a_message_cut_short_anywhere_is_an_error_and_never_another_connection() {
        let whole = listed(&v4(), 6, 0, SYN_SENT, None);
        for length in 0..whole.len() {
            assert!(Entry::parse(&whole[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn whatever_is_read_does_no_harm(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            let mut spoilt = listed(&v4(), 6, 0, SYN_SENT, Some([0, 1]));
            for (place, byte) in places {
                *place.get_mut(&mut spoilt) = byte;
            }
            let mut listing = request(NEW, 0, 0);
            listing.extend(&bytes);
            for message in [bytes, listing, spoilt] {
                if let Ok(Some(entry)) = Entry::parse(&message) {
                    prop_assert!(entry.deletion().len() <= HEADERS + message.len());
                }
            }
        }
    }
}
