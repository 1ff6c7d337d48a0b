//! Starting an agent over real shells, a real ssh and a real sshd.

mod faults;
mod kit;
mod places;
mod shells;
mod ssh;
mod stand_in;
mod terminal;
