//! The socket over which `shuttle status` and `shuttle stop` speak to a running shuttle.
