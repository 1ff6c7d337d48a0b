//! Release and CI chores: `cargo xtask`.
fn main() {}
