//! `eksconnect view`: changes nothing but the file that is asked for.

use std::process::ExitCode;

use super::view_ports;
use super::viewing::viewer;
use crate::access::picture::take::take;
use crate::cli::{GlobalArgs, ViewArgs};
use crate::error::Error;
use crate::output::{Console, view_page, viewed};
use crate::{kubernetes, page_file};

pub(super) async fn view(console: &Console, global: &GlobalArgs, args: &ViewArgs) -> Result<ExitCode, Error> {
    let (choices, request) = (args.choices()?, args.request()?);
    if let Some(path) = &args.html {
        page_file::check(path, args.force)?;
    }
    let cluster = global.cluster();
    let (principal, connected) =
        tokio::try_join!(viewer(console, global, &choices), kubernetes::connect(&cluster))?;
    let request = request(principal);
    let (context, server) = (connected.context.clone(), connected.server.clone());
    let picture = take(&view_ports(connected), &request).await?;
    if let Some(path) = &args.html {
        page_file::write(path, &view_page(&picture, &context, &server)?, args.force)?;
    }
    viewed(console, &picture, &context, &server, args.html.as_deref());
    Ok(ExitCode::SUCCESS)
}
