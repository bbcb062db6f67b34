//! `eksconnect render`: asks nobody.

use std::process::ExitCode;

use crate::cli::{GlobalArgs, RenderArgs};
use crate::directory::write_files;
use crate::error::Error;
use crate::output::{self, Console};
use crate::registration::name::check_region;
use crate::{aws, manifest};

pub(super) async fn render(
    console: &Console,
    global: &GlobalArgs,
    args: &RenderArgs,
) -> Result<ExitCode, Error> {
    let region = aws::region(&global.aws()).await?;
    check_region(&region)?;
    let request = args.request(region)?;
    let objects = manifest::rendered(&request.settings, &request.activation_id);
    match &args.kustomize {
        None => {
            output::render_notes(console, &request.settings);
            output::rendered_objects(console, &objects);
        }
        Some(directory) => {
            let files = manifest::kustomization(&objects);
            let written = write_files(directory, &files, args.force)?;
            output::render_notes(console, &request.settings);
            let all: Vec<String> = files.into_iter().map(|file| file.name).collect();
            output::rendered_files(console, directory, &all, &written);
        }
    }
    Ok(ExitCode::SUCCESS)
}
