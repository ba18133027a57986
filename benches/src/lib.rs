//! Loads and helpers for the benches. Nothing here is part of the library.
