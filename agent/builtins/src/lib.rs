//! `memcpy` and friends: what compilers call and a libc would have had.
//!
//! A crate of its own because of `no_builtins`: the compiler must not recognise the loops in [`bytes`]
//! and turn them into calls of themselves.
#![no_std]
#![no_builtins]

pub mod bytes;

// Only where the agent is built to run; a test program has these names from its libc.
#[cfg(panic = "abort")]
mod symbols;
