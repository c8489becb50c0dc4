//! Room `sound`.
