//! The table itself, and those that are there already.

use std::ffi::{CStr, c_char, c_void};
use std::io;
use std::ptr::NonNull;

use nftnl::nftnl_sys::{self as sys, libc};
use nftnl::table::get_tables_nlmsg;
use nftnl::{MsgType, NlMsg, ProtoFamily, Table};

use super::netlink::{Answer, Last, Netlink};
use super::{NftError, c_string};

/// `NFT_TABLE_F_OWNER`: the table belongs to the socket that made it. Others cannot change or flush it,
/// and it goes when the socket closes.
const OWNER: u32 = 0x2;

/// An inet table with flags, which nftnl's own type cannot have.
pub(super) struct OwnTable {
    table: Table,
    flags: u32,
}

impl OwnTable {
    pub(super) fn new(name: &str, owned: bool) -> OwnTable {
        let flags = if owned { OWNER } else { 0 };
        OwnTable { table: Table::new(c_string(name), ProtoFamily::Inet), flags }
    }

    /// For what refers to the table by its name.
    pub(super) fn as_nftnl(&self) -> &Table {
        &self.table
    }
}

// SAFETY: it writes one header, a name of at most 255 bytes and one number.
unsafe impl NlMsg for OwnTable {
    unsafe fn write(&self, buf: *mut c_void, seq: u32, msg_type: MsgType) {
        let kind = match msg_type {
            MsgType::Add => libc::NFT_MSG_NEWTABLE,
            MsgType::Del => libc::NFT_MSG_DELTABLE,
        };
        let description = Description::new();
        let table = description.0.as_ptr();
        let family = self.table.get_family() as u16;
        // SAFETY: the caller promises room in `buf`; the name is copied; the attributes have these widths.
        unsafe {
            sys::nftnl_table_set_str(table, sys::NFTNL_TABLE_NAME as u16, self.table.get_name().as_ptr());
            sys::nftnl_table_set_u32(table, sys::NFTNL_TABLE_FLAGS as u16, self.flags);
            let flags = libc::NLM_F_ACK as u16;
            let header = sys::nftnl_nlmsg_build_hdr(buf.cast::<c_char>(), kind as u16, family, flags, seq);
            sys::nftnl_table_nlmsg_build_payload(header, table);
        }
    }
}

/// A table of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTable {
    /// Its name.
    pub name: String,
    /// A live socket owns it.
    pub owned: bool,
}

/// All inet tables.
pub(super) fn list(netlink: &Netlink) -> Result<Vec<FoundTable>, NftError> {
    let mut found = Vec::new();
    let request = get_tables_nlmsg(0);
    netlink.send(first_message(&request)).map_err(NftError::Netlink)?;
    netlink.answers(|answer| match answer {
        Answer::Part(message) => {
            found.extend(parse(message).map_err(NftError::Netlink)?);
            Ok(Last::No)
        }
        Answer::Done | Answer::Taken(_) => Ok(Last::Yes),
        Answer::Refused(_, source) => Err(NftError::Netlink(source)),
    })?;
    Ok(found)
}

/// nftnl pads the request to its largest size; the header says where it ends.
fn first_message(request: &[u8]) -> &[u8] {
    let length = u32::from_ne_bytes([request[0], request[1], request[2], request[3]]);
    &request[..length as usize]
}

/// Reads one table out of a netlink message; `None` for other families.
fn parse(message: &[u8]) -> io::Result<Option<FoundTable>> {
    let description = Description::new();
    let table = description.0.as_ptr();
    // SAFETY: the message is whole, as long as its header says, and aligned by the receive buffer; the
    // strings belong to the description, which outlives their use.
    unsafe {
        if sys::nftnl_table_nlmsg_parse(message.as_ptr().cast(), table) < 0 {
            return Err(io::Error::last_os_error());
        }
        let family = sys::nftnl_table_get_u32(table, sys::NFTNL_TABLE_FAMILY as u16);
        let name = sys::nftnl_table_get_str(table, sys::NFTNL_TABLE_NAME as u16);
        if family != ProtoFamily::Inet as u32 || name.is_null() {
            return Ok(None);
        }
        let name = CStr::from_ptr(name).to_string_lossy().into_owned();
        let flags = sys::nftnl_table_get_u32(table, sys::NFTNL_TABLE_FLAGS as u16);
        Ok(Some(FoundTable { name, owned: flags & OWNER != 0 }))
    }
}

/// libnftnl's own description of a table, freed with this.
struct Description(NonNull<sys::nftnl_table>);

impl Description {
    fn new() -> Description {
        // SAFETY: it takes nothing and returns a fresh table or null.
        Description(NonNull::new(unsafe { sys::nftnl_table_alloc() }).expect("memory for a table"))
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: made by `nftnl_table_alloc`, freed once.
        unsafe { sys::nftnl_table_free(self.0.as_ptr()) }
    }
}
