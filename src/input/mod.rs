//! Room `input`.
