//! Tests of the edge's parts that take more room than their files have.

mod params;
mod sign;
