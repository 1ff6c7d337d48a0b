//! What a libc and the standard library would have given: all of the agent's unsafe code.
//!
//! | file | its job |
//! |---|---|
//! | [`start`] | the first instructions, and the arguments |
//! | [`stdio`] | the three descriptors that a process is born with |
//! | [`syscall`] | the three system calls that rustix keeps to itself |
//! | [`allocator`] | memory from the kernel, and back to it |
//! | [`abort`] | panics, and memory that is not there |

mod abort;
mod allocator;
pub mod start;
pub mod stdio;
pub mod syscall;

#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator::new();
