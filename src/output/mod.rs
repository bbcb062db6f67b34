//! The only place that prints: results on standard output, everything else on standard error.

mod access;
mod access_document;
mod account;
mod console;
mod deregister;
mod document;
mod error;
mod generated;
mod halves;
mod iam_policy;
mod inventory;
mod lines;
mod plan;
mod principals;
mod register;
mod render;
mod roles;
mod status;
mod table;
mod times;

pub use access::AccessView;
pub use console::Console;
pub use deregister::{DeregisterView, Removal, Where};
pub use generated::{completions, manual, manuals};
pub use halves::HalfView;
pub use iam_policy::policy;
pub use inventory::{is_context, is_registration, listed};
pub use register::{Interruptible, RegisterView};
pub use render::{render_notes, rendered_files, rendered_objects};
pub use roles::{RolesView, roles};
pub use status::StatusView;
