//! The relation to one remote: opens streams, relays sockets, counts.
