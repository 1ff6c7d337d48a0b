//! `memcpy` and friends: what compilers call and a libc would have had.
//!
//! A crate of its own because of `no_builtins`: the compiler must not recognise these loops and turn
//! them into calls of themselves. The symbols exist only where the agent is built to run
//! (`panic = "abort"`): a test program has them from its libc.
#![no_std]
#![no_builtins]
#![cfg(panic = "abort")]

use core::ffi::c_int;

const WORD: usize = size_of::<usize>();

/// Copies `count` bytes to where `from` does not overlap.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe { copy_forward(to, from, count) };
    to
}

/// Copies `count` bytes.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise; each direction reads a byte before it writes over it.
    unsafe {
        if (to as usize).wrapping_sub(from as usize) >= count {
            copy_forward(to, from, count);
        } else {
            copy_backward(to, from, count);
        }
    }
    to
}

/// Sets `count` bytes.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: c_int, count: usize) -> *mut u8 {
    let pattern = usize::from_ne_bytes([byte as u8; WORD]);
    let mut at = 0;
    // SAFETY: the caller's promise; `at` stays below `count`, unaligned access is said to be so.
    unsafe {
        while at + WORD <= count {
            to.add(at).cast::<usize>().write_unaligned(pattern);
            at += WORD;
        }
        while at < count {
            to.add(at).write(byte as u8);
            at += 1;
        }
    }
    to
}

/// Compares `count` bytes.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    let mut at = 0;
    // SAFETY: the caller's promise.
    unsafe {
        while at < count {
            let (l, r) = (left.add(at).read(), right.add(at).read());
            if l != r {
                return c_int::from(l) - c_int::from(r);
            }
            at += 1;
        }
    }
    0
}

/// Zero when `count` bytes are equal.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { memcmp(left, right, count) }
}

/// Bytes before the zero that ends a C string.
///
/// # Safety
/// As in C.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: the caller's promise: everything up to the zero may be read.
    while unsafe { text.add(length).read() } != 0 {
        length += 1;
    }
    length
}

/// Ascending, so that a destination below the source may overlap it.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_forward(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: the caller's promise; the shortest code, and among the fastest on this architecture.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rcx") count => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags)
        );
    }
}

/// Ascending, so that a destination below the source may overlap it: a word is read before the words
/// that its writing may touch are, except for the very bytes that it just took.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_forward(to: *mut u8, from: *const u8, count: usize) {
    let mut at = 0;
    // SAFETY: the caller's promise; unaligned access is said to be so.
    unsafe {
        while at + WORD <= count {
            let word = from.add(at).cast::<usize>().read_unaligned();
            to.add(at).cast::<usize>().write_unaligned(word);
            at += WORD;
        }
        while at < count {
            to.add(at).write(from.add(at).read());
            at += 1;
        }
    }
}

/// Descending, for a destination above the source.
unsafe fn copy_backward(to: *mut u8, from: *const u8, count: usize) {
    let mut left = count;
    // SAFETY: the caller's promise; unaligned access is said to be so.
    unsafe {
        while left >= WORD {
            left -= WORD;
            let word = from.add(left).cast::<usize>().read_unaligned();
            to.add(left).cast::<usize>().write_unaligned(word);
        }
        while left > 0 {
            left -= 1;
            to.add(left).write(from.add(left).read());
        }
    }
}
