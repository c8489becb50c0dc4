//! Tests of the edge's parts that take more room than their files have.

mod codes;
mod edge;
mod fuzzing;
mod params;
mod sign;
