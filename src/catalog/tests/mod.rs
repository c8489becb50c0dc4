//! Tests of the catalog, by room of rules.
