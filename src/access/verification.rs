//! What was found out about a principal's view, and what follows from it. Pure.

use super::principal::Principal;
use super::questions::{Question, Topic};
use super::scope::Scope;
use crate::registration::place::in_namespace;

/// By what means something was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The API server was asked as the connector asks it.
    Acting,
    /// The API server was asked about the connector's service account and about the principal (SubjectAccessReview).
    Reviews,
    /// The cluster's access rules were evaluated here.
    Rules,
}

/// What becomes of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Allowed,
    /// The connector may not ask that in the principal's name.
    RefusedByImpersonation,
    /// The principal may not do that.
    RefusedByRbac,
    /// The API server did not say.
    Unknown,
}

/// A question with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The question.
    pub question: Question,
    /// What became of it.
    pub verdict: Verdict,
    /// By what rule, or in whose words.
    pub because: String,
}

/// Whether the connector can do more in the principal's name than view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beyond<'a> {
    /// All of it is refused to the connector, whatever the principal may do.
    Held,
    /// The principal's own rights are what keeps it from that.
    UpToThePrincipal,
    /// It can do these.
    Exceeded(Vec<&'a str>),
    /// It could not be found out.
    Unknown,
}

/// What was found out.
#[derive(Clone, Debug)]
pub struct Verification {
    /// About whom.
    pub principal: Principal,
    /// Namespace of the connector.
    pub namespace: String,
    /// `v1.36.3`, if the API server says it.
    pub version: Option<String>,
    /// How.
    pub means: Means,
    /// Where.
    pub scope: Scope,
    /// What the console asks for.
    pub answers: Vec<Answer>,
    /// What it must not be given.
    pub beyond: Vec<Answer>,
    /// What else is worth knowing: which means were not to be had, what could not be read.
    pub notes: Vec<String>,
}

impl Verification {
    /// How many questions are not allowed.
    pub fn missing(&self) -> usize {
        self.answers.iter().filter(|answer| answer.verdict != Verdict::Allowed).count()
    }

    /// Whether all that the console asks for is allowed.
    pub fn is_complete(&self) -> bool {
        self.missing() == 0
    }

    /// The command that gives the principal what is missing; `None` if nothing is.
    pub fn mend(&self) -> Option<String> {
        (!self.is_complete()).then(|| self.grant())
    }

    /// The command that holds the connector to viewing; `None` if it is already, or if that is not known.
    pub fn tighten(&self) -> Option<String> {
        let loose = matches!(self.held(), Beyond::UpToThePrincipal | Beyond::Exceeded(_));
        loose.then(|| self.grant())
    }

    fn grant(&self) -> String {
        let mut command = format!("eksconnect grant-view --principal {}", self.principal);
        command.push_str(&self.scope.options());
        command.push_str(&in_namespace(&self.namespace));
        command
    }

    /// Whether the connector can do more in the principal's name than view.
    pub fn held(&self) -> Beyond<'_> {
        let allowed = |answer: &&Answer| answer.verdict == Verdict::Allowed;
        let exceeded: Vec<&str> = self.beyond.iter().filter(allowed).filter_map(Answer::words).collect();
        if !exceeded.is_empty() {
            return Beyond::Exceeded(exceeded);
        }
        let all = |verdict: &Verdict| self.beyond.iter().all(|answer| answer.verdict == *verdict);
        if all(&Verdict::RefusedByImpersonation) {
            Beyond::Held
        } else if self.beyond.iter().any(|answer| answer.verdict == Verdict::RefusedByRbac) {
            Beyond::UpToThePrincipal
        } else {
            Beyond::Unknown
        }
    }
}

impl Answer {
    /// What is asked beyond viewing; `None` of other questions.
    pub fn words(&self) -> Option<&'static str> {
        match self.question.topic {
            Topic::Beyond(words) => Some(words),
            Topic::Kind { .. } | Topic::Path(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::questions::{beyond, questions};

    fn verification(beyond_verdicts: [Verdict; 4]) -> Verification {
        let answer = |question, verdict| Answer { question, verdict, because: String::new() };
        Verification {
            principal: Principal::canonical("arn:aws:iam::111122223333:role/Viewer").unwrap(),
            namespace: "tools".to_owned(),
            version: None,
            means: Means::Rules,
            scope: Scope::Namespaces(["web".to_owned()].into()),
            answers: questions(&Scope::Cluster)
                .into_iter()
                .map(|question| answer(question, Verdict::Allowed))
                .collect(),
            beyond: beyond(&Scope::Cluster)
                .into_iter()
                .zip(beyond_verdicts)
                .map(|(question, verdict)| answer(question, verdict))
                .collect(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn held_to_viewing_only_if_the_connector_is_refused_all_of_it() {
        use Verdict::{Allowed, RefusedByImpersonation as Impersonation, RefusedByRbac as Rbac, Unknown};
        let held = |verdicts| verification(verdicts).held() == Beyond::Held;
        assert!(held([Impersonation, Impersonation, Impersonation, Impersonation]));
        assert!(!held([Impersonation, Impersonation, Impersonation, Unknown]));
        let own = verification([Rbac, Impersonation, Rbac, Rbac]);
        assert_eq!(own.held(), Beyond::UpToThePrincipal);
        let more = verification([Allowed, Allowed, Rbac, Rbac]);
        assert_eq!(more.held(), Beyond::Exceeded(vec!["get secrets", "list secrets"]));
        assert_eq!(
            more.tighten().as_deref(),
            Some(
                "eksconnect grant-view --principal arn:aws:iam::111122223333:role/Viewer --namespace-scope web \
                 --namespace tools"
            )
        );
        assert_eq!(more.mend(), None);
    }
}
