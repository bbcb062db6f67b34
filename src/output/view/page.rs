//! The sheet as a page of its own: no script, nothing that would be loaded from elsewhere.

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};

use super::sheet::Sheet;
use crate::error::{Code, Error};

/// Its name ends so that whatever is put into it is escaped for HTML.
const NAME: &str = "view/page.html";

const TEMPLATE: &str = include_str!("../../../templates/view/page.html");

/// The page.
///
/// # Errors
/// The template is broken.
pub(super) fn page(sheet: &Sheet) -> Result<String, Error> {
    render(sheet)
        .map_err(|error| Error::failed(Code::INTERNAL, "the page could not be made").with_source(error))
}

fn render(sheet: &Sheet) -> Result<String, minijinja::Error> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    templates.add_template(NAME, TEMPLATE)?;
    templates.get_template(NAME)?.render(Serde(sheet))
}
