//! Kernels of the FLAC module.
fn main() {}
