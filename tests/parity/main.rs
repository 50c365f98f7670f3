//! Recovery data: the code against a reference of its own, damage within and beyond the bound, hostile sidecars, the programs,
//! and what is salvaged where nothing mends.

#[path = "../common/mod.rs"]
mod common;

mod code;
mod damage;
mod faults;
mod hostile;
mod programs;
mod reference;
mod salvage;
