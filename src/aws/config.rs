//! Where AWS is and who we are there: Region, profile, retries, deadlines.

use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::imds;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_runtime::env_config::section::EnvConfigSections;
use aws_runtime::env_config::source;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::app_name::AppName;
use aws_types::os_shim_internal::{Env, Fs};

use super::credentials::AskedOnce;
use crate::error::{Code, Error};
use crate::registration::name::check_region;

/// What the command line and the environment say about AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AwsSettings {
    /// `--region`.
    pub region: Option<String>,
    /// `--profile`.
    pub profile: Option<String>,
    /// The profile of the environment (`AWS_PROFILE`).
    pub profile_from_environment: Option<String>,
    /// `AWS_MAX_ATTEMPTS`.
    pub max_attempts: Option<String>,
    /// How long a single attempt of a request may take.
    pub attempt_timeout: Duration,
}

/// AWS, ready to be called.
#[derive(Clone, Debug)]
pub struct Connected {
    pub(super) sdk: SdkConfig,
    /// The Region in use.
    pub region: String,
}

/// How long a TCP and TLS connection may take, as the SDK's own default.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// How long the instance metadata service may take to connect and to answer.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// Attempts of a request that AWS throttles or fails to answer, as the SDK's own default.
const MAX_ATTEMPTS: u32 = 3;

/// Finds the Region and the credentials' source. Asks AWS nothing.
///
/// # Errors
/// No Region, one without the service, a profile that does not exist, settings that are invalid.
pub async fn connect(settings: &AwsSettings) -> Result<Connected, Error> {
    // Set explicitly, so that the SDK does not read them itself: it aborts the process on some values.
    let attempts = max_attempts(settings.max_attempts.as_deref())?;
    if let Some(profile) = settings.profile.as_deref().or(settings.profile_from_environment.as_deref()) {
        require_profile(profile).await?;
    }
    let region = region(settings).await?;
    check_region(&region)?;

    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.clone()))
        .retry_config(RetryConfig::standard().with_max_attempts(attempts))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT.min(settings.attempt_timeout))
                .operation_attempt_timeout(settings.attempt_timeout)
                .operation_timeout(settings.attempt_timeout * (attempts + 1))
                .build(),
        );
    let with_region = ProviderConfig::without_region().with_region(Some(Region::new(region.clone())));
    if let Some(profile) = &settings.profile {
        // The SDK lets keys in the environment win over a profile; who names one on the command line means it.
        let credentials =
            ProfileFileCredentialsProvider::builder().configure(&with_region).profile_name(profile).build();
        loader = loader.profile_name(profile).credentials_provider(AskedOnce::new(credentials));
    } else {
        // As the AWS CLI asks it: once, for a second. The SDK would keep whoever is not on EC2 waiting for several.
        let metadata = imds::Client::builder()
            .configure(&with_region)
            .max_attempts(1)
            .connect_timeout(METADATA_TIMEOUT)
            .read_timeout(METADATA_TIMEOUT)
            .build();
        let credentials =
            DefaultCredentialsChain::builder().configure(with_region).imds_client(metadata).build().await;
        loader = loader.credentials_provider(AskedOnce::new(credentials));
    }
    let mut sdk = loader.load().await;
    // What CloudTrail calls us, unless the user has a name for it (AWS_SDK_UA_APP_ID).
    if sdk.app_name().is_none() {
        sdk = sdk.into_builder().app_name(our_name()?).build();
    }
    Ok(Connected { sdk, region })
}

fn our_name() -> Result<AppName, Error> {
    AppName::new(concat!("eksconnect-", env!("CARGO_PKG_VERSION"))).map_err(|error| {
        Error::failed(Code::INTERNAL, "the name that AWS is told cannot be used").with_source(error)
    })
}

fn max_attempts(setting: Option<&str>) -> Result<u32, Error> {
    let Some(text) = setting else { return Ok(MAX_ATTEMPTS) };
    match text.trim().parse() {
        Ok(attempts) if (1..=100).contains(&attempts) => Ok(attempts),
        Ok(_) | Err(_) => {
            Err(Error::usage(Code::AWS_SETTING, format!("AWS_MAX_ATTEMPTS={text:?} cannot be used"))
                .cause("it is not a number from 1 to 100")
                .fix("unset AWS_MAX_ATTEMPTS, or set it to a number such as 3"))
        }
    }
}

async fn require_profile(name: &str) -> Result<(), Error> {
    let unreadable = |why: String| {
        Error::usage(Code::NO_PROFILE, format!("the AWS profile {name:?} cannot be read"))
            .cause(why)
            .fix("check ~/.aws/config and ~/.aws/credentials")
    };
    let files = EnvConfigFiles::default();
    let source = source::load(&Env::real(), &Fs::real(), &files)
        .await
        .map_err(|error| unreadable(error.to_string()))?;
    let sections = EnvConfigSections::parse(source).map_err(|error| unreadable(error.to_string()))?;
    if sections.get_profile(name).is_some() {
        return Ok(());
    }
    let mut known: Vec<&str> = sections.profiles().collect();
    known.sort_unstable();
    let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
    Err(Error::usage(Code::NO_PROFILE, format!("there is no AWS profile {name:?}"))
        .cause(format!("profiles in ~/.aws/config and ~/.aws/credentials: {known}"))
        .fix("name one of them with --profile or AWS_PROFILE, or make one: aws configure --profile NAME"))
}

/// The Region of the command line, the environment or the profile. The instance metadata service is not asked: it is
/// slow where there is none, and a cluster's Region is not a machine's.
///
/// # Errors
/// None of them names one.
pub async fn region(settings: &AwsSettings) -> Result<String, Error> {
    if let Some(region) = &settings.region {
        return Ok(region.clone());
    }
    if let Some(region) = EnvironmentVariableRegionProvider::new().region().await {
        return Ok(region.to_string());
    }
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &settings.profile {
        profile = profile.profile_name(name);
    }
    profile.build().region().await.map(|region| region.to_string()).ok_or_else(|| {
        Error::usage(Code::NO_REGION, "no AWS Region is configured")
            .cause("neither --region nor AWS_REGION nor the profile names one")
            .fix("name one: --region eu-west-1")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_that_would_abort_the_sdk_are_refused() {
        assert_eq!(max_attempts(None).unwrap(), 3);
        assert_eq!(max_attempts(Some(" 5 ")).unwrap(), 5);
        for bad in ["0", "-1", "many", "", "101", "4294967295"] {
            assert_eq!(max_attempts(Some(bad)).unwrap_err().code, Code::AWS_SETTING, "{bad}");
        }
    }
}
