//! Adapters to AWS. SDK types and errors stop here.

mod config;
mod credentials;
mod eks;
mod failure;
mod iam;
mod quotas;
mod sts;

pub use config::{AwsSettings, connect, region};
pub use eks::Eks;
pub use iam::Iam;
pub use quotas::ServiceQuotas;
pub use sts::Sts;
