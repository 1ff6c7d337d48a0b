//! The agent as a process: no standard library, no libc, no arguments.
#![no_std]
#![no_main]
// Inline assembly is not stable on all architectures; those builds say so.
#![cfg_attr(
    all(rustix_use_experimental_asm, any(target_arch = "mips", target_arch = "powerpc64")),
    feature(asm_experimental_arch)
)]

mod runtime;

use core::fmt::Write;

// What compilers call and a libc would have had.
extern crate builtins as _;

use runtime::start::Name;
use runtime::{stdio, syscall};

/// Runs until the link ends; the exit status says how that went.
fn main(name: Name) -> u8 {
    syscall::block_sigpipe();
    agent::process::remove_own_file(name.get());
    agent::process::allow_many_files();
    match agent::run(stdio::input(), stdio::output(), syscall::now) {
        Ok(()) => 0,
        Err(failure) => {
            let _ = writeln!(stdio::Stderr, "shuttle-agent: {failure}");
            failure.exit_status()
        }
    }
}
