//! shuttle: reach everything that a host you can log in to can reach.
