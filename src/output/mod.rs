//! The only place that prints: results on standard output, everything else on standard error.

mod account;
mod console;
mod document;
mod error;
mod halves;
mod lines;
mod plan;
mod principals;
mod register;
mod render;

pub use console::Console;
pub use halves::HalfView;
pub use register::{Interruptible, RegisterView};
pub use render::{render_notes, rendered_files, rendered_objects};
