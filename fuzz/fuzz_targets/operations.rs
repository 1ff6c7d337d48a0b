//! Sequences of what drivers do, of what hostile peers send, of time and lost links, on a simulated pair.
//!
//! The script and what it checks are those of proto's properties (`proto/tests/pair/script.rs`).
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../proto/tests/pair/mod.rs"]
mod pair;

fuzz_target!(|script: pair::script::Script| {
    if script.operations.len() <= 100 {
        script.run();
    }
});
