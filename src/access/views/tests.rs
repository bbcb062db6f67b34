use super::*;
use crate::access::grants::grants;
use crate::ports::Decision;
use crate::rbac::{Binding, Meta, Role, RoleRef, Subject};

const VIEWER: &str = "arn:aws:iam::111122223333:role/Viewer";
const OPS: &str = "arn:aws:iam::111122223333:role/Ops";

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn rule(verbs: &[&str], group: &str, resources: &[&str], names: &[&str]) -> Rule {
    Rule {
        verbs: strings(verbs),
        api_groups: strings(&[group]),
        resources: strings(resources),
        resource_names: strings(names),
        ..Rule::default()
    }
}

fn role(name: &str, rules: Vec<Rule>) -> Role {
    Role { meta: Meta { name: name.to_owned(), ..Meta::default() }, rules, ..Role::default() }
}

fn bound(role: &str, namespace: Option<&str>, ours: bool, subject: Subject) -> Binding {
    let label = ("app.kubernetes.io/managed-by".to_owned(), "eksconnect".to_owned());
    Binding {
        meta: Meta {
            name: format!("{role}-binding"),
            namespace: namespace.map(str::to_owned),
            labels: ours.then_some(label).into_iter().collect(),
            ..Meta::default()
        },
        role: RoleRef::ClusterRole(role.to_owned()),
        subjects: vec![subject],
    }
}

fn connector() -> Subject {
    Subject::ServiceAccount { namespace: Some("eks-connector".into()), name: "eks-connector".into() }
}

fn user(arn: &str) -> Subject {
    Subject::User(arn.to_owned())
}

fn constrained(arn: &str) -> Vec<Rule> {
    vec![
        rule(&["impersonate:user-info"], "authentication.k8s.io", &["users"], &[arn]),
        rule(&["impersonate-on:user-info:list"], "", &["pods"], &[]),
    ]
}

fn found(roles: Vec<Role>, bindings: Vec<Binding>, constrains: bool, iam: &Iam) -> Vec<View> {
    let rules = Snapshot { roles, bindings };
    views(&rules, &grants(&rules, "eks-connector"), "eks-connector", constrains, |_| iam.clone())
}

fn allowed() -> Iam {
    Iam::Known(IamState::Allowed)
}

fn only(views: Vec<View>) -> View {
    assert_eq!(views.len(), 1, "{views:#?}");
    views.into_iter().next().unwrap()
}

fn commands(view: &View) -> Vec<&str> {
    view.advice.iter().filter_map(|advice| advice.command.as_deref()).collect()
}

#[test]
fn a_whole_grant_needs_nothing() {
    let roles =
        vec![role("be", constrained(VIEWER)), role("view", vec![rule(&["list"], "", &["pods"], &[])])];
    let bindings =
        vec![bound("be", None, true, connector()), bound("view", Some("web"), false, user(VIEWER))];
    let view = only(found(roles.clone(), bindings.clone(), true, &allowed()));
    assert_eq!((view.impersonation, view.rights), (ActsAs::ViewOnly, RightsState::Present));
    assert_eq!(view.scope, Scope::Namespaces(["web".to_owned()].into()));
    assert_eq!(view.advice, []);
    // An API server that does not know the form lets the connector act as nobody.
    let view = only(found(roles, bindings, false, &allowed()));
    assert_eq!(view.impersonation, ActsAs::NotHonoured);
    let again = format!("eksconnect grant-view --principal {VIEWER} --namespace-scope web");
    assert_eq!(commands(&view), [again]);
}

#[test]
fn each_missing_part_has_its_command() {
    let be = role("be", vec![rule(&["impersonate"], "", &["users"], &[OPS])]);
    let lacks = Iam::Known(IamState::Lacks(vec![("eks:AccessKubernetesApi".into(), Decision::NotAllowed)]));
    let bindings = vec![bound("be", None, false, connector()), bound("gone", None, false, user(OPS))];
    let view = only(found(vec![be], bindings, true, &lacks));
    assert_eq!((view.impersonation, view.rights), (ActsAs::Anything, RightsState::Missing));
    let grant = format!("eksconnect grant-view --principal {OPS}");
    assert_eq!(commands(&view), [grant.clone(), grant.clone(), format!("{grant} --attach-iam-policy")]);
    assert_eq!(view.advice[0].severity, Severity::Loose, "the most important first");
    assert!(view.advice[1].text.contains("gone, which does not exist"), "{:?}", view.advice[1]);
    assert!(view.advice[2].text.contains("eks:AccessKubernetesApi"));

    let rights = vec![bound("view", None, false, user(VIEWER))];
    let view = only(found(vec![role("view", Vec::new())], rights.clone(), true, &allowed()));
    assert_eq!(view.impersonation, ActsAs::Missing);
    let gone = only(found(vec![role("view", Vec::new())], rights, true, &Iam::Absent));
    assert_eq!(commands(&gone), [format!("eksconnect revoke-view --principal {VIEWER}")]);
}

#[test]
fn a_role_that_grew_is_shown_and_granting_again_raises_the_ceiling() {
    let grown = vec![rule(&["list"], "", &["pods", "services"], &[]), rule(&["delete"], "", &["pods"], &[])];
    let bindings = vec![bound("be", None, true, connector()), bound("theirs", None, true, user(VIEWER))];
    let roles = vec![role("be", constrained(VIEWER)), role("theirs", grown)];
    let view = only(found(roles, bindings, true, &allowed()));
    let note = view.advice.first().unwrap();
    assert_eq!(note.severity, Severity::Note);
    assert!(note.text.ends_with("may ask for: list on services"), "{}", note.text);
    let again = format!("eksconnect grant-view --principal {VIEWER} --cluster-role theirs");
    assert_eq!(commands(&view), [again]);
}

#[test]
fn of_a_role_that_grew_only_what_the_grant_gives_is_missing() {
    let paths =
        Rule { verbs: strings(&["get"]), non_resource_urls: strings(&["/metrics"]), ..Rule::default() };
    let named = rule(&["list"], "", &["services"], &["a", "b"]);
    let mut be = constrained(VIEWER);
    be.push(rule(&["impersonate-on:user-info:list"], "", &["services"], &["a"]));
    let notes = |place: Option<&str>| {
        let bindings = vec![bound("be", None, true, connector()), bound("theirs", place, true, user(VIEWER))];
        let roles = vec![role("be", be.clone()), role("theirs", vec![named.clone(), paths.clone()])];
        only(found(roles, bindings, true, &allowed())).advice
    };
    let whole = &notes(None)[0];
    let of_services = named.to_string();
    assert!(whole.text.ends_with(&format!("may ask for: {of_services}; {paths}")), "{}", whole.text);
    // A RoleBinding gives no paths.
    let scoped = &notes(Some("web"))[0];
    assert!(scoped.text.ends_with(&format!("may ask for: {of_services}")), "{}", scoped.text);
    assert!(scoped.command.as_deref().unwrap().contains("--namespace-scope web --cluster-role theirs"));
}

#[test]
fn a_name_that_is_never_impersonated_is_told() {
    let path = "arn:aws:iam::111122223333:role/team/Viewer";
    let be = role("be", vec![rule(&["impersonate"], "", &["users"], &[path])]);
    let view = only(found(vec![be], vec![bound("be", None, false, connector())], true, &allowed()));
    assert_eq!(view.principal, None);
    assert_eq!(commands(&view), [format!("eksconnect grant-view --principal {path}")]);
}

#[test]
fn who_may_be_anybody_may_be_everybody_that_has_rights() {
    let be = role("be", vec![rule(&["impersonate"], "", &["users"], &[])]);
    let roles = vec![be, role("view", vec![rule(&["list"], "", &["pods"], &[])])];
    let bindings = vec![bound("be", None, false, connector()), bound("view", None, false, user(VIEWER))];
    let rules = Snapshot { roles, bindings };
    let found = grants(&rules, "eks-connector");
    let advice = advice_on_anyone(found.anyone.first().unwrap());
    assert_eq!(advice.command.as_deref(), Some("kubectl delete clusterrolebinding be-binding"));
    let view = only(views(&rules, &found, "eks-connector", true, |_| allowed()));
    assert_eq!(view.impersonation, ActsAs::Anything);
}
