//! Copying, filling and comparing memory, a word at a time.
//!
//! Words are accessed unaligned: one instruction where the processor can do that, and otherwise still
//! correct. Overlapping words are fine: each is read before anything that it covers is written, except
//! for the very bytes that were taken from there just before.

const WORD: usize = size_of::<usize>();

/// Copies upwards, so that a destination below the source may overlap it.
///
/// # Safety
/// Both must be valid for `count` bytes.
pub unsafe fn copy_up(to: *mut u8, from: *const u8, count: usize) {
    let mut at = 0;
    // SAFETY: the caller's promise.
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

/// Copies downwards, so that a destination above the source may overlap it.
///
/// # Safety
/// Both must be valid for `count` bytes.
pub unsafe fn copy_down(to: *mut u8, from: *const u8, count: usize) {
    let mut left = count;
    // SAFETY: the caller's promise.
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

/// Copies in whichever direction an overlap demands.
///
/// # Safety
/// Both must be valid for `count` bytes.
pub unsafe fn copy_overlapping(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        // A destination below the source wraps around to a large distance.
        if (to as usize).wrapping_sub(from as usize) >= count {
            copy_up(to, from, count);
        } else {
            copy_down(to, from, count);
        }
    }
}

/// Sets every byte.
///
/// # Safety
/// `to` must be valid for `count` bytes.
pub unsafe fn fill(to: *mut u8, byte: u8, count: usize) {
    let pattern = usize::from_ne_bytes([byte; WORD]);
    let mut at = 0;
    // SAFETY: the caller's promise.
    unsafe {
        while at + WORD <= count {
            to.add(at).cast::<usize>().write_unaligned(pattern);
            at += WORD;
        }
        while at < count {
            to.add(at).write(byte);
            at += 1;
        }
    }
}

/// The difference of the first bytes that differ, or zero.
///
/// # Safety
/// Both must be valid for `count` bytes.
pub unsafe fn compare(left: *const u8, right: *const u8, count: usize) -> i32 {
    let mut at = 0;
    while at < count {
        // SAFETY: the caller's promise.
        let (l, r) = unsafe { (left.add(at).read(), right.add(at).read()) };
        if l != r {
            return i32::from(l) - i32::from(r);
        }
        at += 1;
    }
    0
}

/// Bytes before the first zero.
///
/// # Safety
/// `text` must be valid up to the zero.
pub unsafe fn length(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: the caller's promise.
    while unsafe { text.add(length).read() } != 0 {
        length += 1;
    }
    length
}
