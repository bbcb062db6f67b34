//! What is measured, and how many round trips of it must wait for each other.

use clap::ValueEnum;

/// A case of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum Case {
    /// `eksconnect register` with a new account and a new cluster.
    RegisterFresh,
    /// The same command once more.
    RegisterAgain,
    /// `eksconnect grant-view` for a role that exists, in a cluster that is registered.
    GrantView,
    /// The AWS CLI and kubectl, as the user guide says.
    AwsCliAndKubectl,
}

/// Round trips that wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    /// All of them: those of AWS and of the cluster, those at the same time counted once, and the TLS handshake with the
    /// cluster.
    pub(super) all: u32,
    /// Those of AWS.
    pub(super) aws: u32,
    /// Those of the cluster.
    pub(super) cluster: u32,
}

impl Case {
    /// Its name on the command line and in the results.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RegisterFresh => "register-fresh",
            Self::RegisterAgain => "register-again",
            Self::GrantView => "grant-view",
            Self::AwsCliAndKubectl => "aws-cli-and-kubectl",
        }
    }

    /// Its longest chain. One TLS handshake with the cluster is in it, before which nothing can be asked: no state that
    /// could resume an earlier session outlives a run, and API servers take no early data. More handshakes, and asking
    /// again for what is not there yet, are not in it: they are what the ratio shows.
    pub(super) fn chain(self) -> Chain {
        match self {
            // docs/decisions/the-chain-of-round-trips.md lists the twelve after the handshake: observe what is known by name
            // (both sides at once); observe each object; CreateRole; PutRolePolicy; RegisterCluster; activation Secret; StatefulSet;
            // list of agents; DescribeCluster says ACTIVE; state Secrets; used code replaced; Lease given back.
            Self::RegisterFresh => Chain { all: 13, aws: 5, cluster: 8 },
            // The handshake, and of those the first two.
            Self::RegisterAgain => Chain { all: 3, aws: 1, cluster: 2 },
            // The handshake; what is there, the metrics after the version; each object, beside what IAM decides; the roles; their
            // bindings; and what the connector is allowed, which is asked as the connector and so is not seen.
            Self::GrantView => Chain { all: 7, aws: 2, cluster: 5 },
            // GetCallerIdentity, CreateServiceLinkedRole, CreateRole, PutRolePolicy, RegisterCluster; kubectl apply;
            // DescribeCluster that says ACTIVE. kubectl works
            // through the objects one after the other, after its handshake.
            Self::AwsCliAndKubectl => Chain { all: 6 + 1 + KUBECTL_APPLY, aws: 6, cluster: KUBECTL_APPLY },
        }
    }
}

/// Requests of `kubectl apply` of the connector's ten objects, all of which wait for each other: six of discovery and
/// schemas (/openapi/v3, that of v1, /api, /apis, that of RBAC, that of apps); get and create of the Namespace, the
/// ClusterRole and its binding; get, get of the namespace, and create of the seven objects in it. Seen in the audit log
/// of kubectl 1.36.
const KUBECTL_APPLY: u32 = 6 + 3 * 2 + 7 * 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_called_the_same_everywhere() {
        for case in Case::value_variants() {
            assert_eq!(case.to_possible_value().unwrap().get_name(), case.name());
        }
    }
}
