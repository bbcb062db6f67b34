//! `eksconnect roles`.

use std::process::ExitCode;
use std::sync::Arc;

use super::deregister::account_ports;
use super::{listen, previewed};
use crate::aws;
use crate::cli::{GlobalArgs, RolesArgs, RolesCommand, RolesCreateArgs, RolesDeleteArgs, RolesShowArgs};
use crate::error::Error;
use crate::inventory::roles::{RolePorts, look_at_roles};
use crate::output::{self, Console, DeregisterView, Removal, RolesView};
use crate::plan::Stop;
use crate::registration::deregister::look::RemovalPorts;
use crate::registration::deregister::{self, Job, remove};
use crate::registration::halves::roles::{RolesPorts, create_roles, preview};

pub(super) async fn roles(
    console: &Console,
    global: &GlobalArgs,
    args: &RolesArgs,
) -> Result<ExitCode, Error> {
    match &args.command {
        RolesCommand::Show(args) => show(console, global, args).await,
        RolesCommand::Create(args) => create(console, global, args).await,
        RolesCommand::Delete(args) => delete(console, global, args).await,
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
    if args.dry.run.dry_run {
        let preview = preview(&ports, &design).await?;
        view.preview(&preview, args.dry.diff);
        return Ok(previewed(args.dry.run, preview.changes_something()));
    }
    let stop = Stop::default();
    listen(&stop, &view)?;
    let ended = create_roles(&ports, &design, &view, &stop).await;
    view.end(ended.is_ok());
    view.created(&ended?);
    Ok(ExitCode::SUCCESS)
}

async fn delete(console: &Console, global: &GlobalArgs, args: &RolesDeleteArgs) -> Result<ExitCode, Error> {
    let request = args.request()?;
    let aws = aws::connect(&global.aws()).await?;
    let ports = RemovalPorts { account: Some(account_ports(&aws)), cluster: None };
    let view = Arc::new(DeregisterView::new(console, None, Removal::Roles));
    if args.dry.dry_run {
        let preview = deregister::preview(&ports, Job::Roles(&request)).await?;
        view.preview(&preview);
        return Ok(previewed(args.dry, preview.changes_something()));
    }
    let stop = Stop::default();
    listen(&stop, &view)?;
    let ended = remove(&ports, Job::Roles(&request), &view, &stop).await;
    view.end(ended.is_ok());
    view.deregistered(&ended?);
    Ok(ExitCode::SUCCESS)
}
