//! The only place that prints: results on standard output, everything else on standard error.

mod console;
mod document;
mod error;
mod lines;
mod plan;
mod register;

pub use console::Console;
pub use register::RegisterView;
