//! The real program against a real sshd, each test in a private internet of its own.

mod faults;
mod harness;
mod main_job;
mod sockets;
mod tcp_semantics;
