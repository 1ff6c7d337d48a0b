//! The agent's allocator, in a program that has another one for everything else.

// Without the global allocator and the entry point that surround it in the agent.
#[path = "../src/runtime/allocator.rs"]
mod allocator;

use std::alloc::{GlobalAlloc, Layout};

use allocator::Allocator;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// An allocation and the byte that it was filled with.
struct Held {
    memory: *mut u8,
    layout: Layout,
    mark: u8,
}

impl Held {
    fn fill(&self) {
        // SAFETY: valid for the layout's size.
        unsafe { self.memory.write_bytes(self.mark, self.layout.size()) };
    }

    fn check(&self) {
        // SAFETY: valid for the layout's size, and filled.
        let bytes = unsafe { std::slice::from_raw_parts(self.memory, self.layout.size()) };
        assert!(bytes.iter().all(|byte| *byte == self.mark), "{:?} was written over", self.layout);
    }
}

/// Mappings of this process that are neither files nor named.
fn anonymous_kilobytes() -> usize {
    let maps = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = maps.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn size(dice: &mut Dice) -> usize {
    match dice.below(20) {
        0 => 1 + dice.below(300_000),
        1..5 => 1 + dice.below(20_000),
        _ => 1 + dice.below(600),
    }
}

#[test]
fn memory_is_its_owners_alone_and_goes_back_to_the_kernel() {
    let allocator = Allocator::new();
    let mut dice = Dice(1);
    let mut held: Vec<Held> = Vec::with_capacity(4_000);
    let before = anonymous_kilobytes();
    for round in 0..100_000 {
        let mark = round as u8 | 1;
        match dice.below(if held.len() < 3_000 { 8 } else { 3 }) {
            0 | 1 if !held.is_empty() => {
                let gone = held.swap_remove(dice.below(held.len()));
                gone.check();
                // SAFETY: it is forgotten with this.
                unsafe { allocator.dealloc(gone.memory, gone.layout) };
            }
            2 if !held.is_empty() => {
                let at = dice.below(held.len());
                let item = &mut held[at];
                item.check();
                let (old, new) = (item.layout.size(), size(&mut dice));
                // SAFETY: the old address is replaced by the new one.
                item.memory = unsafe { allocator.realloc(item.memory, item.layout, new) };
                item.layout = Layout::from_size_align(new, item.layout.align()).unwrap();
                Held { layout: Layout::from_size_align(old.min(new), 1).unwrap(), ..*item }.check();
                item.fill();
            }
            _ => {
                let layout = Layout::from_size_align(size(&mut dice), 1 << dice.below(7)).unwrap();
                // SAFETY: the size is not zero.
                let memory = unsafe { allocator.alloc_zeroed(layout) };
                assert!(!memory.is_null() && memory.addr().is_multiple_of(layout.align()));
                Held { memory, layout, mark: 0 }.check();
                let item = Held { memory, layout, mark };
                item.fill();
                held.push(item);
            }
        }
    }
    let most = anonymous_kilobytes();
    for gone in held.drain(..) {
        gone.check();
        // SAFETY: it is forgotten with this.
        unsafe { allocator.dealloc(gone.memory, gone.layout) };
    }
    let left = anonymous_kilobytes();
    println!("{before} KiB before, {most} with everything, {left} after");
    assert!(most > before + 5_000, "the test used no memory");
    assert!(left < before + 1_000, "memory was kept");
}
