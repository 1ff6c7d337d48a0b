//! Each match and verdict as nftables expressions. Those that nftnl has no type for are made here.

use std::ffi::CStr;
use std::ops::RangeInclusive;
use std::ptr::NonNull;

use ipnet::IpNet;
use nftnl::Rule;
use nftnl::expr::{
    Bitwise, Cmp, CmpOp, Expression, Immediate, Ipv4HeaderField, Ipv6HeaderField, Lookup, Meta,
    NetworkHeaderField, Payload, Register, Socket, SocketKey, TcpHeaderField, TransportHeaderField,
};
use nftnl::nftnl_sys::{self as sys, libc};

use crate::ruleset::Cgroup;

const TCP_FIN: u8 = 0x01;
const TCP_SYN: u8 = 0x02;
const TCP_RST: u8 = 0x04;
const TCP_ACK: u8 = 0x10;

/// Where a TCP header keeps its flags; nftnl counts in bytes here, whatever its fields are called.
const TCP_FLAGS: TransportHeaderField = TransportHeaderField::Raw { offset_bits: 13, length_bits: 1 };

/// `NFT_FIB_RESULT_ADDRTYPE`: the question is what kind of address it is.
const FIB_RESULT_ADDRTYPE: u32 = 3;

/// `NFTA_FIB_F_DADDR`: the destination's.
const FIB_DADDR: u32 = 1 << 1;

/// TCP, or anything else.
pub(super) fn protocol(rule: &mut Rule<'_>, tcp: bool) {
    rule.add_expr(&Meta::L4Proto);
    rule.add_expr(&Cmp::new(if tcp { CmpOp::Eq } else { CmpOp::Neq }, libc::IPPROTO_TCP as u8));
}

/// TCP, but not the segment that opens a connection.
pub(super) fn not_initial_syn(rule: &mut Rule<'_>) {
    protocol(rule, true);
    rule.add_expr(&Payload::Transport(TCP_FLAGS));
    rule.add_expr(&Bitwise::new(TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK, 0u8));
    rule.add_expr(&Cmp::new(CmpOp::Neq, TCP_SYN));
}

/// An address of this machine.
pub(super) fn local_destination(rule: &mut Rule<'_>) {
    rule.add_expr(&Plain {
        name: c"fib",
        attributes: [
            (sys::NFTNL_EXPR_FIB_RESULT, FIB_RESULT_ADDRTYPE),
            (sys::NFTNL_EXPR_FIB_DREG, Register::Reg1.to_raw()),
            (sys::NFTNL_EXPR_FIB_FLAGS, FIB_DADDR),
        ],
    });
    rule.add_expr(&Cmp::new(CmpOp::Eq, u32::from(libc::RTN_LOCAL)));
}

/// A socket made in this cgroup or below it.
pub(super) fn cgroup(rule: &mut Rule<'_>, cgroup: &Cgroup) {
    rule.add_expr(&Socket::new(SocketKey::CgroupV2, cgroup.level));
    rule.add_expr(&Cmp::new(CmpOp::Eq, cgroup.id));
}

/// A destination in one network.
pub(super) fn network(rule: &mut Rule<'_>, net: &IpNet) {
    family(rule, net);
    let (address, mask) = (net.network(), net.netmask());
    if net.prefix_len() > 0 {
        load_destination(rule, net);
    }
    if net.prefix_len() > 0 && net.prefix_len() < net.max_prefix_len() {
        let zero = vec![0u8; usize::from(net.max_prefix_len() / 8)];
        match mask {
            std::net::IpAddr::V4(mask) => rule.add_expr(&Bitwise::new(mask, zero.as_slice())),
            std::net::IpAddr::V6(mask) => rule.add_expr(&Bitwise::new(mask, zero.as_slice())),
        }
    }
    if net.prefix_len() > 0 {
        rule.add_expr(&Cmp::new(CmpOp::Eq, address));
    }
}

/// A destination in one of the networks that `set` holds.
pub(super) fn networks(rule: &mut Rule<'_>, nets: &[IpNet], set: &Lookup) {
    if let Some(net) = nets.first() {
        family(rule, net);
        load_destination(rule, net);
    }
    rule.add_expr(set);
}

/// A destination port.
pub(super) fn ports(rule: &mut Rule<'_>, ports: &RangeInclusive<u16>) {
    protocol(rule, true);
    rule.add_expr(&Payload::Transport(TransportHeaderField::Tcp(TcpHeaderField::Dport)));
    if ports.start() == ports.end() {
        rule.add_expr(&Cmp::new(CmpOp::Eq, ports.start().to_be()));
    } else {
        rule.add_expr(&Cmp::new(CmpOp::Gte, ports.start().to_be()));
        rule.add_expr(&Cmp::new(CmpOp::Lte, ports.end().to_be()));
    }
}

/// To a port of this machine; the kernel keeps the original destination for whoever accepts.
pub(super) fn redirect(rule: &mut Rule<'_>, port: u16) {
    rule.add_expr(&Immediate::new(port.to_be(), Register::Reg1));
    rule.add_expr(&Plain {
        name: c"redir",
        attributes: [(sys::NFTNL_EXPR_REDIR_REG_PROTO_MIN, Register::Reg1.to_raw())],
    });
}

/// The inet family holds both: each rule says which one it reads an address of.
fn family(rule: &mut Rule<'_>, net: &IpNet) {
    let family = match net {
        IpNet::V4(_) => libc::NFPROTO_IPV4,
        IpNet::V6(_) => libc::NFPROTO_IPV6,
    };
    rule.add_expr(&Meta::NfProto);
    rule.add_expr(&Cmp::new(CmpOp::Eq, family as u8));
}

fn load_destination(rule: &mut Rule<'_>, net: &IpNet) {
    rule.add_expr(&Payload::Network(match net {
        IpNet::V4(_) => NetworkHeaderField::Ipv4(Ipv4HeaderField::Daddr),
        IpNet::V6(_) => NetworkHeaderField::Ipv6(Ipv6HeaderField::Daddr),
    }));
}

/// An expression that has numbers for attributes, which is all that those need that nftnl lacks.
struct Plain<const N: usize> {
    name: &'static CStr,
    attributes: [(u32, u32); N],
}

impl<const N: usize> Expression for Plain<N> {
    fn to_expr(&self, _rule: &Rule<'_>) -> NonNull<sys::nftnl_expr> {
        // SAFETY: the name is NUL-terminated and only read.
        let expression = unsafe { sys::nftnl_expr_alloc(self.name.as_ptr()) };
        let expression = NonNull::new(expression).expect("libnftnl knows fib and redir since 1.0.7");
        for (attribute, value) in self.attributes {
            // SAFETY: the expression is live; the attributes named above are 32 bits wide.
            unsafe { sys::nftnl_expr_set_u32(expression.as_ptr(), attribute as u16, value) };
        }
        expression
    }
}
