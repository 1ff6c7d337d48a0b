//! A private internet in network namespaces, for shuttle's tests, benches and demo.
