//! What a source file is: containers, oddities, and formats by content.

mod containers;
mod corpus;
mod identify;
mod large;
mod programs;
mod support;
mod wav;
