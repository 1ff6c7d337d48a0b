//! The program: errors become exit codes here.
fn main() {}
