//! Panics, and memory that is not there: words on stderr, and an exit status of its own.

use core::fmt::Write;
use core::panic::PanicInfo;

use super::stdio::Stderr;

/// The exit status of a panic, as with the standard library.
const PANICKED: u8 = 101;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let _ = writeln!(Stderr, "shuttle-agent: a defect of shuttle, please report it: {info}");
    super::syscall::exit(PANICKED)
}

/// Prebuilt `core` and `alloc` refer to it; nothing ever unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As above, for unoptimised builds.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    super::syscall::exit(PANICKED)
}
