//! Faults and latency: what a test asks the emulator to do instead of, or before, answering.

use serde::{Deserialize, Serialize};

/// Which calls something applies to; `None` means any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selector {
    /// Signing name of the service: `eks`, `iam`, `sts`, `ssm`, `ssmmessages`, `servicequotas`.
    pub service: Option<String>,
    /// Name of the operation, such as `RegisterCluster`.
    pub operation: Option<String>,
    /// Account id of the caller.
    pub account: Option<String>,
}

impl Selector {
    fn matches(&self, service: &str, operation: &str, account: Option<&str>) -> bool {
        self.service.as_deref().is_none_or(|wanted| wanted == service)
            && self.operation.as_deref().is_none_or(|wanted| wanted == operation)
            && self.account.as_deref().is_none_or(|wanted| Some(wanted) == account)
    }

    /// The more it names, the more specific it is; the operation counts most.
    fn weight(&self) -> u8 {
        4 * u8::from(self.operation.is_some())
            + 2 * u8::from(self.service.is_some())
            + u8::from(self.account.is_some())
    }
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Instead of the call: nothing changes.
    #[default]
    Before,
    /// After the call took effect: only its answer is lost.
    After,
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Answers with this error in the service's protocol.
    Error {
        /// HTTP status.
        status: u16,
        /// Error code, such as `ThrottlingException`.
        code: String,
        /// Error message.
        message: String,
    },
    /// Cuts the connection with a TCP reset.
    Reset,
    /// Never answers.
    Hang,
    /// Answers 200 with the true answer, but for its end: whoever reads it cannot, though everything that matters is in
    /// it, an activation code too. It strikes after the effect.
    MalformedBody,
}

/// A fault to inject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The calls that count.
    #[serde(default)]
    pub selector: Selector,
    /// Strikes from the n-th such call on, counted from now; 1 is the next one.
    #[serde(default = "first")]
    pub nth: u32,
    /// How often it strikes; `None` until it is cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// Before or after the effect.
    #[serde(default)]
    pub when: When,
    /// What happens.
    pub kind: FaultKind,
}

fn first() -> u32 {
    1
}

impl Fault {
    /// A fault of one operation that strikes at its next call and no more.
    pub fn once(service: &str, operation: &str, kind: FaultKind) -> Fault {
        let selector = Selector {
            service: Some(service.to_owned()),
            operation: Some(operation.to_owned()),
            account: None,
        };
        Fault { selector, nth: 1, times: Some(1), when: When::Before, kind }
    }
}

/// A fault with its id and how often it has struck.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveFault {
    /// Number given when it was added.
    pub id: u64,
    /// The fault.
    pub fault: Fault,
    /// Matching calls so far.
    pub seen: u32,
    /// How often it struck.
    pub struck: u32,
    /// Of those how many are over, as far as the emulator is concerned: a call that is left hanging has had its effect,
    /// if it was to have one.
    #[serde(default)]
    pub over: u32,
}

/// A delay of calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The calls that are delayed; of several rules the most specific holds.
    pub selector: Selector,
    /// Delay in milliseconds; 0 removes the rule.
    pub milliseconds: u64,
}

/// A fault that strikes a call.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    /// The fault's number.
    pub(crate) id: u64,
    pub(crate) when: When,
    pub(crate) kind: FaultKind,
}

/// The faults and delays in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Vec<ActiveFault>,
    latencies: Vec<Latency>,
    last_id: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) -> u64 {
        self.last_id += 1;
        self.active.push(ActiveFault { id: self.last_id, fault, seen: 0, struck: 0, over: 0 });
        self.last_id
    }

    pub(crate) fn list(&self) -> &[ActiveFault] {
        &self.active
    }

    /// Removes one fault, or the faults of one account, or all.
    pub(crate) fn clear(&mut self, id: Option<u64>, account: Option<&str>) {
        self.active.retain(|each| {
            id.is_some_and(|id| each.id != id)
                || account.is_some_and(|account| each.fault.selector.account.as_deref() != Some(account))
        });
    }

    pub(crate) fn set_latency(&mut self, latency: Latency) {
        self.latencies.retain(|each| each.selector != latency.selector);
        if latency.milliseconds > 0 {
            self.latencies.push(latency);
        }
    }

    pub(crate) fn latencies(&self) -> &[Latency] {
        &self.latencies
    }

    pub(crate) fn delay(&self, service: &str, operation: &str, account: Option<&str>) -> u64 {
        let rules = self.latencies.iter().filter(|each| each.selector.matches(service, operation, account));
        rules.max_by_key(|each| each.selector.weight()).map_or(0, |each| each.milliseconds)
    }

    /// Counts a call, and tells which fault strikes it.
    pub(crate) fn strike(&mut self, service: &str, operation: &str, account: Option<&str>) -> Option<Strike> {
        let mut result = None;
        for each in &mut self.active {
            if !each.fault.selector.matches(service, operation, account) {
                continue;
            }
            each.seen += 1;
            let due = each.seen >= each.fault.nth && each.fault.times.is_none_or(|times| each.struck < times);
            if due && result.is_none() {
                each.struck += 1;
                let (when, kind) = (each.fault.when, each.fault.kind.clone());
                result = Some(Strike { id: each.id, when, kind });
            }
        }
        result
    }

    /// Notes that a call that a fault struck has had what effect it was to have.
    pub(crate) fn over(&mut self, id: u64) {
        for each in self.active.iter_mut().filter(|each| each.id == id) {
            each.over += 1;
        }
    }
}
