//! The typed client of the control endpoint.

use anyhow::{Context as _, bail};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Account, AccountSpec, ActiveFault, Caller, CallerSpec, ConnectedInstance, Entry, Fault, FaultId, Filter,
    Gift, Given, Latency, Move, Now, Overview, Refused, SettingsChange,
};

/// A client of the control endpoint. Cheap to clone; usable from any Tokio runtime.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
}

/// Every method fails if the emulator cannot be reached or refuses; the error says why.
impl Client {
    /// A client of the emulator at this endpoint, such as `http://127.0.0.1:41234`.
    #[must_use]
    pub fn new(endpoint: &str) -> Client {
        Client { base: format!("{}/_sandbox", endpoint.trim_end_matches('/')) }
    }

    /// Makes an account.
    ///
    /// # Errors
    ///
    /// If the id is taken or is not of 12 digits.
    pub async fn create_account(&self, spec: AccountSpec) -> anyhow::Result<Account> {
        self.send(Method::POST, "/accounts", Some(&spec)).await
    }

    /// Ids of all accounts.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn accounts(&self) -> anyhow::Result<Vec<String>> {
        let overview: Overview = self.get("/accounts", &Filter::default()).await?;
        Ok(overview.into_keys().collect())
    }

    /// Adds a caller to an account.
    ///
    /// # Errors
    ///
    /// If the account is unknown, or the policy has anything that the emulator cannot evaluate.
    pub async fn add_caller(&self, account: &str, spec: CallerSpec) -> anyhow::Result<Caller> {
        self.send(Method::POST, &format!("/accounts/{account}/callers"), Some(&spec)).await
    }

    /// Gives an account a cluster that EKS runs itself. Gives its ARN.
    ///
    /// # Errors
    ///
    /// If the account is unknown.
    pub async fn add_cluster(&self, account: &str, region: &str, name: &str) -> anyhow::Result<String> {
        let gift = Gift::Cluster { region: region.to_owned(), name: name.to_owned() };
        let given: Given =
            self.send(Method::POST, &format!("/accounts/{account}/gifts"), Some(&gift)).await?;
        Ok(given.arn)
    }

    /// Gives an account so many registrations without agents, `many-0001` and so on, however small the quota is. Gives the
    /// ARN of the last.
    ///
    /// # Errors
    ///
    /// If the account is unknown.
    pub async fn add_registrations(&self, account: &str, region: &str, count: u32) -> anyhow::Result<String> {
        let gift = Gift::Registrations { region: region.to_owned(), count };
        let given: Given =
            self.send(Method::POST, &format!("/accounts/{account}/gifts"), Some(&gift)).await?;
        Ok(given.arn)
    }

    /// Gives an account a customer-managed policy. Gives its ARN.
    ///
    /// # Errors
    ///
    /// If the account is unknown, or the document has anything that the emulator cannot evaluate.
    pub async fn add_policy(&self, account: &str, name: &str, document: Value) -> anyhow::Result<String> {
        let gift = Gift::Policy { name: name.to_owned(), document };
        let given: Given =
            self.send(Method::POST, &format!("/accounts/{account}/gifts"), Some(&gift)).await?;
        Ok(given.arn)
    }

    /// Changes settings of one account, of one Region of it, or of all.
    ///
    /// # Errors
    ///
    /// If the account is unknown.
    pub async fn change_settings(&self, change: SettingsChange) -> anyhow::Result<()> {
        self.send(Method::POST, "/settings", Some(&change)).await
    }

    /// Delays calls.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn set_latency(&self, latency: Latency) -> anyhow::Result<()> {
        self.send(Method::POST, "/latency", Some(&latency)).await
    }

    /// The delays in force.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn latencies(&self) -> anyhow::Result<Vec<Latency>> {
        self.get("/latency", &Filter::default()).await
    }

    /// Adds a fault. Gives its id.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn add_fault(&self, fault: Fault) -> anyhow::Result<u64> {
        let id: FaultId = self.send(Method::POST, "/faults", Some(&fault)).await?;
        Ok(id.id)
    }

    /// The faults that were added, struck or not.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn faults(&self) -> anyhow::Result<Vec<ActiveFault>> {
        self.get("/faults", &Filter::default()).await
    }

    /// Removes one fault.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn clear_fault(&self, id: u64) -> anyhow::Result<()> {
        self.clear("/faults", &Filter { id: Some(id), ..Filter::default() }).await
    }

    /// Removes the faults that select one account, or all.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn clear_faults(&self, account: Option<&str>) -> anyhow::Result<()> {
        self.clear("/faults", &Filter { account: account.map(str::to_owned), ..Filter::default() }).await
    }

    /// Moves the emulator's clock. It holds for every account. Gives its time (RFC 3339).
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn move_clock(&self, seconds: i64) -> anyhow::Result<String> {
        let now: Now = self.send(Method::POST, "/clock", Some(&Move { seconds })).await?;
        Ok(now.now)
    }

    /// The time of the emulator's clock (RFC 3339).
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn clock(&self) -> anyhow::Result<String> {
        let now: Now = self.get("/clock", &Filter::default()).await?;
        Ok(now.now)
    }

    /// The calls after a sequence number (0 for all), of one account or of all.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn log(&self, since: u64, account: Option<&str>) -> anyhow::Result<Vec<Entry>> {
        let filter = Filter { since: Some(since), account: account.map(str::to_owned), id: None };
        self.get("/log", &filter).await
    }

    /// Empties the log. Sequence numbers go on.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn reset_log(&self) -> anyhow::Result<()> {
        self.clear("/log", &Filter::default()).await
    }

    /// The state of one account or of all as one document with a stable order, for comparing before and after. Secrets
    /// are digests. Left out is what changes by itself: temporary keys and the contacts of agents.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn dump(&self, account: Option<&str>) -> anyhow::Result<Value> {
        self.get("/dump", &Filter { account: account.map(str::to_owned), ..Filter::default() }).await
    }

    /// The managed instances of one account or of all.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn connected_instances(&self, account: Option<&str>) -> anyhow::Result<Vec<ConnectedInstance>> {
        self.get("/instances", &Filter { account: account.map(str::to_owned), ..Filter::default() }).await
    }

    /// Every activation code that one account was ever given, or all: to look whether one leaked. AWS shows a code once
    /// and never again.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn activation_codes(&self, account: Option<&str>) -> anyhow::Result<Vec<String>> {
        self.get("/codes", &Filter { account: account.map(str::to_owned), ..Filter::default() }).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, filter: &Filter) -> anyhow::Result<T> {
        let query = serde_urlencoded::to_string(filter)?;
        self.send::<(), T>(Method::GET, &format!("{path}?{query}"), None).await
    }

    async fn clear(&self, path: &str, filter: &Filter) -> anyhow::Result<()> {
        let query = serde_urlencoded::to_string(filter)?;
        self.send::<(), ()>(Method::DELETE, &format!("{path}?{query}"), None).await
    }

    async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> anyhow::Result<T> {
        let url = format!("{}{path}", self.base);
        // A client of its own for each request: connections belong to the runtime they were opened on, and tests have
        // short-lived runtimes. A proxy of the environment is not for loopback.
        let client = reqwest::Client::builder().no_proxy().build()?;
        let mut request = client.request(method, &url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| format!("asking the AWS emulator: {url}"))?;
        let status = response.status();
        let bytes = response.bytes().await?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let reason = serde_json::from_slice::<Refused>(&bytes).map_or(text, |refused| refused.error);
            bail!("the AWS emulator refused {path}: {reason}");
        }
        serde_json::from_slice(&bytes).with_context(|| format!("reading the AWS emulator's answer to {path}"))
    }
}
