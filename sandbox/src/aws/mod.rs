//! AWS emulator.
