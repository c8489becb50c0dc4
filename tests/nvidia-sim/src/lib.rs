//! A simulator of NVIDIA's driver for the tests of onair: `libcuda.so.1` and `libnvidia-encode.so.1` in one library.
//!
//! Owns what of both is called by onair, checked as strictly as the header of the SDK demands: struct versions, GUIDs, the order
//! of calls, what must be given back. Pictures are really encoded, by x264, x265 or libaom. Must not know onair. Invariants: every line that it
//! writes says `nvidia simulator`; what it was made to hold is counted and told at exit (also in the file that
//! `ONAIR_NVIDIA_SIM_REPORT` names); it is never shipped.
//!
//! Faults on demand, by `ONAIR_NVIDIA_SIM` or [`control::nvidia_sim_faults`], are listed at [`faults::Faults`].

#![allow(non_snake_case, reason = "the names of the driver's functions are NVIDIA's own")]

mod control;
mod copy;
mod cuda;
mod faults;
mod groups;
mod memory;
mod numbers;
mod nvenc;
mod obus;
mod session;
mod software;
mod world;
