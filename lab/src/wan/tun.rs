//! TUN devices inside a host's network.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::error::{Doing, Error};
use crate::host::Host;

nix::ioctl_write_ptr_bad!(tun_set_interface, libc::TUNSETIFF, libc::ifreq);

/// Makes a TUN device of this name on the host; it exists until the file is closed. Reads do not block.
pub(super) fn open(host: &Host, name: &str) -> Result<File, Error> {
    // The device belongs to the network of the thread that opened the file.
    let made = host.inside(|| -> io::Result<File> {
        let flags = libc::O_NONBLOCK;
        let device = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/net/tun")?;
        name_it(&device, name)?;
        Ok(device)
    });
    made.doing(format!("make the TUN device {name} on {} (/dev/net/tun)", host.name()))
}

fn name_it(device: &File, name: &str) -> nix::Result<()> {
    // SAFETY: the structure is plain data for which zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero: "to-" and a host's name of at most 12 bytes just fit.
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the request is a valid ifreq that outlives the call.
    unsafe { tun_set_interface(device.as_raw_fd(), &request) }.map(drop)
}
