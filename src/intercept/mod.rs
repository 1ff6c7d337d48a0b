//! Accepts redirected connections and finds their original destination.

pub mod tcp;
