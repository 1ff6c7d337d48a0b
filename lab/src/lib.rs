//! A private internet in network namespaces, for shuttle's tests, benches and demo.
//!
//! ```text
//!   client ────────────── server ────────────── inner
//!   203.0.113.1           203.0.113.2
//!   2001:db8:113::1       2001:db8:113::2
//!                         10.20.0.1             10.20.0.2
//!                         fd20::1               fd20::2
//!   shuttle runs here     a real sshd           services, see `port`
//! ```
//!
//! The server forwards nothing: without shuttle the client does not reach the inner network. The namespaces have no
//! names and the addresses are private to each lab, so any number of labs may run at once. A lab ends when it is
//! dropped or when its owner dies in whatever way: every process in its networks is killed and its directory
//! removed, by one and the same path.
//!
//! ```no_run
//! use lab::{Lab, port};
//!
//! let lab = Lab::new()?;
//! // A process on the client, an ordinary child of ours: `lab.ssh_config()` is all that ssh needs.
//! let shuttle = lab.client().command("/path/to/shuttle")
//!     .args(["-e", &lab.ssh_command(), "-r", lab.login(), "10.20.0.0/16", "fd20::/64"])
//!     .spawn()?;
//! let page = lab.client().check(&format!("curl -sS http://{}/", lab.inner().address_v4()))?;
//! assert_eq!(page, lab::PAGE);
//! // Sockets of our own, opened on the client.
//! let echo = (lab.inner().address_v4(), port::ECHO);
//! let stream = lab.client().inside(|| std::net::TcpStream::connect(echo))?;
//!
//! // A wide-area line between client and server: 40 ms round trip, 20 Mbit/s, a buffer of one second.
//! use std::time::Duration;
//! let far = lab::Wan::new(Duration::from_millis(40), 20).buffer_time(Duration::from_secs(1));
//! let lab = Lab::builder().wan(far).build()?;
//! lab.wan().cut();
//! lab.wan().mend();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | file        | its part                                                        |
//! |-------------|-----------------------------------------------------------------|
//! | `topology`  | which hosts, which cables: plain values                         |
//! | `lab`       | builds a topology, in named steps                               |
//! | `keeper`    | the process that holds the namespaces and ends them             |
//! | `cabling`   | interfaces, addresses and routes                                |
//! | `login`     | keys, sshd and ssh configuration                                |
//! | `host`      | the ways into a host: commands and closures                     |
//! | `services`  | what the inner hosts serve                                      |
//! | `wan`       | a line with delay, rate, buffer, loss and a cut switch          |

mod cabling;
mod error;
mod host;
mod keeper;
mod lab;
mod login;
pub mod services;
mod topology;
pub mod wan;

use std::net::{Ipv4Addr, Ipv6Addr};

pub use error::Error;
pub use host::{ALICE, Host, Process};
pub use lab::{Builder, Lab};
pub use services::{PAGE, pattern, port};
pub use topology::{HostPlan, LinkPlan};
pub use wan::{Wan, WanLine};

/// What lies behind the default server, as shuttle's arguments: its IPv4 part.
pub const INNER_V4: &str = "10.20.0.0/16";
/// What lies behind the default server, as shuttle's arguments: its IPv6 part.
pub const INNER_V6: &str = "fd20::/64";
/// An inner address that swallows everything without an answer.
pub const BLACKHOLE_V4: Ipv4Addr = Ipv4Addr::new(10, 20, 255, 1);
/// An inner address that swallows everything without an answer.
pub const BLACKHOLE_V6: Ipv6Addr = Ipv6Addr::new(0xfd20, 0, 0, 0, 0, 0, 0, 0xdead);
/// An inner address to which the server's kernel refuses to connect at once: EHOSTUNREACH.
pub const UNREACHABLE_V4: Ipv4Addr = Ipv4Addr::new(10, 20, 255, 2);
/// An inner address to which the server's kernel refuses to connect at once: EHOSTUNREACH.
pub const UNREACHABLE_V6: Ipv6Addr = Ipv6Addr::new(0xfd20, 0, 0, 0, 0, 0, 0, 0xbad);
