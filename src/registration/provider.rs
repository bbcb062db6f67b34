//! Who runs the cluster, as EKS wants to know it, and how that is told from the cluster itself.

use std::fmt;
use std::str::FromStr;

/// The provider of a connected cluster (EKS API, `ConnectorConfigProvider`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Amazon EKS Anywhere.
    EksAnywhere,
    /// Google Anthos.
    Anthos,
    /// Google Kubernetes Engine.
    Gke,
    /// Azure Kubernetes Service.
    Aks,
    /// Red Hat OpenShift.
    Openshift,
    /// VMware Tanzu.
    Tanzu,
    /// SUSE Rancher.
    Rancher,
    /// Self-managed on Amazon EC2.
    Ec2,
    /// Anything else.
    Other,
}

impl Provider {
    /// Every provider, in the order of EKS' own list.
    pub const ALL: [Self; 9] = [
        Self::EksAnywhere,
        Self::Anthos,
        Self::Gke,
        Self::Aks,
        Self::Openshift,
        Self::Tanzu,
        Self::Rancher,
        Self::Ec2,
        Self::Other,
    ];

    /// As the EKS API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EksAnywhere => "EKS_ANYWHERE",
            Self::Anthos => "ANTHOS",
            Self::Gke => "GKE",
            Self::Aks => "AKS",
            Self::Openshift => "OPENSHIFT",
            Self::Tanzu => "TANZU",
            Self::Rancher => "RANCHER",
            Self::Ec2 => "EC2",
            Self::Other => "OTHER",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProvider;

impl FromStr for Provider {
    type Err = UnknownProvider;

    /// Accepts any case, and `-` for `_`.
    fn from_str(text: &str) -> Result<Self, UnknownProvider> {
        let name = text.to_ascii_uppercase().replace('-', "_");
        Self::ALL.into_iter().find(|provider| provider.as_str() == name).ok_or(UnknownProvider)
    }
}

/// What of a cluster tells its provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// `spec.providerID` of the nodes.
    pub provider_ids: Vec<String>,
    /// Keys of the nodes' labels.
    pub label_keys: Vec<String>,
    /// The API groups that the server has.
    pub api_groups: Vec<String>,
}

/// A provider, and why it is thought to be that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// The provider.
    pub provider: Provider,
    /// The evidence, to be shown.
    pub because: String,
}

/// Tells the provider from what is specific to what is general: a product that runs on another one's machines shows
/// the traces of both.
pub fn detect(traces: &Traces) -> Detected {
    const BY_GROUP: [(&str, Provider); 6] = [
        ("config.openshift.io", Provider::Openshift),
        ("anywhere.eks.amazonaws.com", Provider::EksAnywhere),
        ("run.tanzu.vmware.com", Provider::Tanzu),
        ("core.tanzu.vmware.com", Provider::Tanzu),
        ("management.cattle.io", Provider::Rancher),
        ("gke.io", Provider::Anthos),
    ];
    const BY_LABEL: [(&str, Provider); 5] = [
        ("cloud.google.com/gke-nodepool", Provider::Gke),
        ("kubernetes.azure.com/cluster", Provider::Aks),
        ("baremetal.cluster.gke.io/node-pool", Provider::Anthos),
        ("run.tanzu.vmware.com/tkr", Provider::Tanzu),
        ("rke.cattle.io/machine", Provider::Rancher),
    ];
    let detected = |provider, because| Detected { provider, because };

    for (label, provider) in &BY_LABEL[..2] {
        if traces.label_keys.iter().any(|key| key == label) {
            return detected(*provider, format!("a node has the label {label}"));
        }
    }
    for (group, provider) in BY_GROUP {
        let found = |have: &&String| {
            // Anthos has no single group: every one of its own ends in gke.io.
            have.as_str() == group || (provider == Provider::Anthos && have.ends_with(".gke.io"))
        };
        if let Some(have) = traces.api_groups.iter().find(found) {
            return detected(provider, format!("the API server has the group {have}"));
        }
    }
    for (label, provider) in &BY_LABEL[2..] {
        if traces.label_keys.iter().any(|key| key == label) {
            return detected(*provider, format!("a node has the label {label}"));
        }
    }
    match traces.provider_ids.iter().find(|id| id.starts_with("aws://")) {
        Some(id) => detected(Provider::Ec2, format!("a node has the provider ID {id}")),
        None if traces.provider_ids.is_empty() => {
            detected(Provider::Other, "no node has a cloud provider ID".to_owned())
        }
        None => detected(
            Provider::Other,
            format!("nothing known; a node has the provider ID {}", traces.provider_ids[0]),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces(ids: &[&str], labels: &[&str], groups: &[&str]) -> Traces {
        let own = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Traces { provider_ids: own(ids), label_keys: own(labels), api_groups: own(groups) }
    }

    #[test]
    fn each_provider_by_its_traces() {
        let aws = "aws:///eu-west-1a/i-0123456789abcdef0";
        for (traces, provider) in [
            (traces(&[], &[], &["apps"]), Provider::Other),
            (traces(&["kind://docker/kind/control-plane"], &[], &["apps"]), Provider::Other),
            (traces(&[aws], &[], &["apps"]), Provider::Ec2),
            (traces(&[aws], &[], &["config.openshift.io"]), Provider::Openshift),
            (
                traces(&["gce://p/z/n"], &["cloud.google.com/gke-nodepool"], &["networking.gke.io"]),
                Provider::Gke,
            ),
            (traces(&["vsphere://42"], &["baremetal.cluster.gke.io/node-pool"], &[]), Provider::Anthos),
            (traces(&["vsphere://42"], &[], &["onprem.cluster.gke.io"]), Provider::Anthos),
            (traces(&["azure:///subscriptions/x"], &["kubernetes.azure.com/cluster"], &[]), Provider::Aks),
            (traces(&["vsphere://42"], &[], &["anywhere.eks.amazonaws.com"]), Provider::EksAnywhere),
            (traces(&["vsphere://42"], &[], &["run.tanzu.vmware.com"]), Provider::Tanzu),
            (traces(&[aws], &["rke.cattle.io/machine"], &[]), Provider::Rancher),
            (traces(&[aws], &[], &["management.cattle.io"]), Provider::Rancher),
        ] {
            let detected = detect(&traces);
            assert_eq!(detected.provider, provider, "{traces:?}: {}", detected.because);
        }
    }

    #[test]
    fn every_provider_reads_back_in_any_case() {
        for provider in Provider::ALL {
            assert_eq!(provider.as_str().parse(), Ok(provider));
            assert_eq!(provider.as_str().to_lowercase().replace('_', "-").parse(), Ok(provider));
        }
        assert_eq!("nobody".parse::<Provider>(), Err(UnknownProvider));
    }
}
