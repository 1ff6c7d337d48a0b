//! Networks as an anonymous interval set: one look-up, however many there are. The kernel drops the set
//! with the rule that uses it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nftnl::expr::Lookup;
use nftnl::nftnl_sys::{self as sys, libc};
use nftnl::set::{Set, SetKey};
use nftnl::{MsgType, ProtoFamily, Table};

use super::batch::Batch;

/// Adds a set of `nets` to the batch: of one family, sorted, disjoint.
pub(super) fn add(batch: &mut Batch, nets: &[IpNet], table: &Table) -> Lookup {
    match nets.first() {
        Some(IpNet::V6(_)) => add_keyed::<Ipv6Addr>(batch, nets, table),
        _ => add_keyed::<Ipv4Addr>(batch, nets, table),
    }
}

fn add_keyed<K: SetKey>(batch: &mut Batch, nets: &[IpNet], table: &Table) -> Lookup {
    let set = Set::<K>::new(c"__set%d", batch.next_set_id(), table, ProtoFamily::Inet);
    let flags = libc::NFT_SET_ANONYMOUS | libc::NFT_SET_CONSTANT | libc::NFT_SET_INTERVAL;
    // SAFETY: the set is live, and its flags are 32 bits wide.
    unsafe { sys::nftnl_set_set_u32(set.as_ptr().as_ptr(), sys::NFTNL_SET_FLAGS as u16, flags as u32) };
    // Neighbours become one interval: in an anonymous set an end that is also a start would hide what
    // starts there.
    let mut open_until = None;
    for net in nets {
        if open_until != Some(net.network()) {
            close(&set, open_until);
            add_boundary(&set, net.network(), 0);
        }
        open_until = after(net.broadcast());
    }
    close(&set, open_until);
    let describe = || format!("set of {} networks from {}", nets.len(), nets[0]);
    batch.add(&set, MsgType::Add, describe);
    for elements in set.elems_iter() {
        batch.add(&elements, MsgType::Add, describe);
    }
    Lookup::new(&set)
}

/// Ends the interval that reaches up to `end`; one that reaches the last address of all has no end.
fn close<K>(set: &Set<'_, K>, end: Option<IpAddr>) {
    if let Some(end) = end {
        add_boundary(set, end, libc::NFT_SET_ELEM_INTERVAL_END as u32);
    }
}

/// Where an interval starts, or with `NFT_SET_ELEM_INTERVAL_END` the first address behind it.
fn add_boundary<K>(set: &Set<'_, K>, address: IpAddr, flags: u32) {
    let (v4, v6);
    let key: &[u8] = match address {
        IpAddr::V4(address) => {
            v4 = address.octets();
            &v4
        }
        IpAddr::V6(address) => {
            v6 = address.octets();
            &v6
        }
    };
    // SAFETY: the element is fresh, the key is copied with its length, and the set takes the element over.
    unsafe {
        let element = sys::nftnl_set_elem_alloc();
        assert!(!element.is_null(), "out of memory");
        let key_length = key.len() as u32;
        sys::nftnl_set_elem_set(element, sys::NFTNL_SET_ELEM_KEY as u16, key.as_ptr().cast(), key_length);
        if flags != 0 {
            sys::nftnl_set_elem_set_u32(element, sys::NFTNL_SET_ELEM_FLAGS as u16, flags);
        }
        sys::nftnl_set_elem_add(set.as_ptr().as_ptr(), element);
    }
}

/// The next address; `None` after the last of all.
fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}
