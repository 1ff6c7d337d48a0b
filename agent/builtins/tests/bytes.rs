//! Every length and distance that matters, against what slices do.

use builtins::bytes;

const SPACE: usize = 96;

fn numbered() -> [u8; SPACE] {
    std::array::from_fn(|at| at as u8 + 1)
}

#[test]
fn overlapping_copies_move_what_was_there() {
    for count in 0..40 {
        for from in 0..40 {
            for to in 0..40 {
                let (mut ours, mut theirs) = (numbered(), numbered());
                let memory = ours.as_mut_ptr();
                // SAFETY: both ends stay within the array.
                unsafe { bytes::copy_overlapping(memory.add(to), memory.add(from), count) };
                theirs.copy_within(from..from + count, to);
                assert_eq!(ours, theirs, "{count} bytes from {from} to {to}");
            }
        }
    }
}

#[test]
fn copying_up_touches_nothing_else() {
    for count in 0..40 {
        for offset in 0..8 {
            let (mut ours, mut theirs) = ([0; SPACE], [0; SPACE]);
            let source = numbered();
            // SAFETY: both ends stay within the arrays.
            unsafe { bytes::copy_up(ours.as_mut_ptr().add(offset), source.as_ptr().add(3), count) };
            theirs[offset..offset + count].copy_from_slice(&source[3..3 + count]);
            assert_eq!(ours, theirs, "{count} bytes to {offset}");
        }
    }
}

#[test]
fn filling_touches_nothing_else() {
    for count in 0..40 {
        for offset in 0..8 {
            let (mut ours, mut theirs) = (numbered(), numbered());
            // SAFETY: the end stays within the array.
            unsafe { bytes::fill(ours.as_mut_ptr().add(offset), 0xee, count) };
            theirs[offset..offset + count].fill(0xee);
            assert_eq!(ours, theirs, "{count} bytes at {offset}");
        }
    }
}

#[test]
fn the_first_difference_decides() {
    for (left, right) in [("", ""), ("abc", "abd"), ("abd", "abc"), ("abc", "abc"), ("\u{7f}", "\u{80}")] {
        let count = left.len().min(right.len());
        // SAFETY: no longer than the shorter one.
        let order = unsafe { bytes::compare(left.as_ptr(), right.as_ptr(), count) };
        assert_eq!(order.cmp(&0), left.as_bytes()[..count].cmp(&right.as_bytes()[..count]));
    }
    // SAFETY: the text ends with a zero.
    assert_eq!(unsafe { bytes::length(c"seven b".as_ptr().cast()) }, 7);
}
