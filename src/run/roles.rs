//! `eksconnect roles`.

use std::process::ExitCode;
use std::sync::Arc;

use super::{listen, previewed};
use crate::aws;
use crate::cli::{GlobalArgs, RolesArgs, RolesCommand, RolesCreateArgs, RolesShowArgs};
use crate::error::Error;
use crate::inventory::roles::{RolePorts, look_at_roles};
use crate::output::{self, Console, RolesView};
use crate::plan::Stop;
use crate::registration::halves::roles::{RolesPorts, create_roles, preview};

pub(super) async fn roles(
    console: &Console,
    global: &GlobalArgs,
    args: &RolesArgs,
) -> Result<ExitCode, Error> {
    match &args.command {
        RolesCommand::Show(args) => show(console, global, args).await,
        RolesCommand::Create(args) => create(console, global, args).await,
    }
}

async fn show(console: &Console, global: &GlobalArgs, args: &RolesShowArgs) -> Result<ExitCode, Error> {
    let name = args.role()?;
    let aws = aws::connect(&global.aws()).await?;
    let ports = RolePorts {
        identity: Arc::new(aws::Sts::new(&aws)),
        roles: Arc::new(aws::Iam::new(&aws)),
        inventory: Arc::new(aws::EksInventory::new(&aws)),
    };
    output::roles(console, &look_at_roles(&ports, name, args.all_regions).await?);
    Ok(ExitCode::SUCCESS)
}

async fn create(console: &Console, global: &GlobalArgs, args: &RolesCreateArgs) -> Result<ExitCode, Error> {
    let design = args.design()?;
    let aws = aws::connect(&global.aws()).await?;
    let ports = RolesPorts { identity: Arc::new(aws::Sts::new(&aws)), roles: Arc::new(aws::Iam::new(&aws)) };
    let view = Arc::new(RolesView::new(console, &design));
    if args.dry_run {
        let preview = preview(&ports, &design).await?;
        view.preview(&preview, args.diff);
        return Ok(previewed(args.detailed_exitcode, preview.changes_something()));
    }
    let stop = Stop::default();
    listen(&stop, &view)?;
    let ended = create_roles(&ports, &design, &view, &stop).await;
    view.end(ended.is_ok());
    view.created(&ended?);
    Ok(ExitCode::SUCCESS)
}
