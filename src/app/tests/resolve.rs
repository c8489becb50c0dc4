//! Tests of resolving scenes.
