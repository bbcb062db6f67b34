//! Principals, as anybody could write them.
#![no_main]

#[path = "../src/principal.rs"]
mod principal;

libfuzzer_sys::fuzz_target!(|data: &[u8]| principal::check(data));
