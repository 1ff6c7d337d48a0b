//! Memory from the kernel, and back to it: spans of equal pieces, and mappings for what is larger.
//!
//! One thread, so no locks. A span is [`SPAN`] bytes at an address that is a multiple of that, so that a
//! piece finds its span's header by its own address. Pieces that were never used are not touched, a span
//! whose last piece is given back goes back to the kernel, except for one that is kept at hand.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::{self, null_mut};

use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap_anonymous, mremap, munmap};

const SPAN: usize = 128 << 10;
const SMALLEST: usize = 16;
/// Sizes of pieces: 16, 32, … 16384; what is larger is mapped alone.
const CLASSES: usize = 11;
const LARGEST: usize = SMALLEST << (CLASSES - 1);

/// At the start of each span.
struct Header {
    /// Neighbours in the list of the class's spans that have free pieces.
    previous: *mut Header,
    next: *mut Header,
    /// Pieces that were given back, each holding a pointer to the next.
    free: *mut Piece,
    /// Offset of the first piece that was never used.
    untouched: usize,
    /// Pieces in use.
    used: usize,
}

struct Piece {
    next: *mut Piece,
}

/// Each class's spans that have free pieces, and one empty span of any class.
struct Spans {
    available: [*mut Header; CLASSES],
    spare: *mut Header,
}

/// The agent's allocator.
pub struct Allocator(UnsafeCell<Spans>);

// SAFETY: the agent has one thread, and no signal is ever handled.
unsafe impl Sync for Allocator {}

impl Allocator {
    /// One that holds nothing yet.
    pub const fn new() -> Self {
        Self(UnsafeCell::new(Spans { available: [null_mut(); CLASSES], spare: null_mut() }))
    }
}

/// The class whose pieces are large enough and aligned enough, or none.
fn class_of(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(SMALLEST);
    (size <= LARGEST).then(|| (size.next_power_of_two() / SMALLEST).trailing_zeros() as usize)
}

// SAFETY: pieces are handed out once until they are given back; sizes and alignments are powers of two.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match class_of(layout) {
            // SAFETY: one thread, and no reference outlives the call.
            Some(class) => unsafe { (*self.0.get()).take(class) },
            None => map(pages(layout.size())),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as asked for; fresh mappings are zero already and stay untouched.
        unsafe {
            let memory = self.alloc(layout);
            if class_of(layout).is_some() && !memory.is_null() {
                ptr::write_bytes(memory, 0, layout.size());
            }
            memory
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match class_of(layout) {
            // SAFETY: one thread; the layout is that of the allocation, so it says where it came from.
            Some(class) => unsafe { (*self.0.get()).give_back(memory, class) },
            None => unmap(memory, pages(layout.size())),
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is not zero and does not overflow.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the old memory is valid for the old layout, the new one for the new.
        unsafe {
            match (class_of(layout), class_of(wanted)) {
                (Some(old), Some(new)) if old == new => memory,
                (None, None) => {
                    mremap(memory.cast(), pages(layout.size()), pages(size), MremapFlags::MAYMOVE)
                        .map_or(null_mut(), <*mut c_void>::cast)
                }
                _ => {
                    let target = self.alloc(wanted);
                    if !target.is_null() {
                        ptr::copy_nonoverlapping(memory, target, layout.size().min(size));
                        self.dealloc(memory, layout);
                    }
                    target
                }
            }
        }
    }
}

impl Spans {
    unsafe fn take(&mut self, class: usize) -> *mut u8 {
        let size = SMALLEST << class;
        // SAFETY: spans in the lists are valid and have at least one free piece.
        unsafe {
            let mut span = self.available[class];
            if span.is_null() {
                span = self.fresh(size);
                if span.is_null() {
                    return null_mut();
                }
                self.link(span, class);
            }
            let header = &mut *span;
            header.used += 1;
            let piece = if header.free.is_null() {
                header.untouched += size;
                span.cast::<u8>().add(header.untouched - size)
            } else {
                let piece = header.free;
                header.free = (*piece).next;
                piece.cast()
            };
            if header.free.is_null() && header.untouched + size > SPAN {
                self.unlink(span, class);
            }
            piece
        }
    }

    unsafe fn give_back(&mut self, memory: *mut u8, class: usize) {
        let size = SMALLEST << class;
        let span = memory.map_addr(|address| address & !(SPAN - 1)).cast::<Header>();
        // SAFETY: the piece lies in a span, whose header is at the span's start.
        unsafe {
            let header = &mut *span;
            let was_full = header.free.is_null() && header.untouched + size > SPAN;
            let piece = memory.cast::<Piece>();
            (*piece).next = header.free;
            header.free = piece;
            header.used -= 1;
            if was_full {
                self.link(span, class);
            }
            if header.used == 0 {
                self.unlink(span, class);
                if self.spare.is_null() {
                    self.spare = span;
                } else {
                    unmap(span.cast(), SPAN);
                }
            }
        }
    }

    /// An empty span for pieces of this size, not in any list yet; null when there is no memory.
    unsafe fn fresh(&mut self, size: usize) -> *mut Header {
        let span = match core::mem::replace(&mut self.spare, null_mut()) {
            span if span.is_null() => map_span(),
            span => span,
        };
        if !span.is_null() {
            let header = Header {
                previous: null_mut(),
                next: null_mut(),
                free: null_mut(),
                untouched: size_of::<Header>().next_multiple_of(size),
                used: 0,
            };
            // SAFETY: the span is ours and large enough.
            unsafe { span.write(header) };
        }
        span
    }

    unsafe fn link(&mut self, span: *mut Header, class: usize) {
        let first = core::mem::replace(&mut self.available[class], span);
        // SAFETY: both are valid spans of this class.
        unsafe {
            (*span).previous = null_mut();
            (*span).next = first;
            if !first.is_null() {
                (*first).previous = span;
            }
        }
    }

    unsafe fn unlink(&mut self, span: *mut Header, class: usize) {
        // SAFETY: the span is in this class's list, so its neighbours are valid.
        unsafe {
            let Header { previous, next, .. } = *span;
            if previous.is_null() {
                self.available[class] = next;
            } else {
                (*previous).next = next;
            }
            if !next.is_null() {
                (*next).previous = previous;
            }
        }
    }
}

/// Bytes that a mapping takes; a multiple of every page size that an agent may meet.
const fn pages(size: usize) -> usize {
    size.next_multiple_of(64 << 10)
}

fn map(length: usize) -> *mut u8 {
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let memory =
        unsafe { mmap_anonymous(null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
    memory.map_or(null_mut(), <*mut c_void>::cast)
}

fn unmap(memory: *mut u8, length: usize) {
    // SAFETY: it was mapped before, and nobody holds a reference into it. It can only fail when it would
    // split a mapping beyond the kernel's limit of mappings: then the memory stays with us.
    let _ = unsafe { munmap(memory.cast(), length) };
}

/// A mapping of [`SPAN`] bytes at a multiple of that; null when there is no memory.
fn map_span() -> *mut Header {
    let memory = map(2 * SPAN);
    if memory.is_null() {
        return null_mut();
    }
    let before = memory.align_offset(SPAN);
    if before > 0 {
        unmap(memory, before);
    }
    // SAFETY: both stay within the mapping, whose two ends are given back.
    unsafe {
        unmap(memory.add(before + SPAN), SPAN - before);
        memory.add(before).cast()
    }
}
