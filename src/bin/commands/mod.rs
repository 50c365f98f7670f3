//! The sub-commands of `tiff2flac` that have more than a few arguments: arguments, what is shown, exit status.

pub mod cut;
#[cfg(feature = "index")]
pub mod index;
#[cfg(feature = "index")]
pub mod search;
#[cfg(feature = "serve")]
pub mod serve;
