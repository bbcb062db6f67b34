//! Adapters to AWS. SDK types and errors stop here.

mod config;
mod credentials;
mod eks;
mod failure;
mod iam;
mod inventory;
mod principals;
mod quotas;
mod role_removal;
mod sts;
mod unreadable;

pub use config::{AwsSettings, Connected, connect, region};
pub use eks::Eks;
pub use iam::Iam;
pub use inventory::EksInventory;
pub use principals::IamPrincipals;
pub use quotas::ServiceQuotas;
pub use sts::Sts;
