//! Takes the picture: reads as the connector does, in the principal's name.

use std::sync::Arc;

use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Part, Picture, Refusal, Row, ServerRow, WorkloadKind, WorkloadRow, facts};
use crate::access::asking::{patiently, refuse_unknown, verdict_of};
use crate::access::connector::{ViewPorts, become_connector, connector_of, server};
use crate::access::principal::Principal;
use crate::access::questions::Call;
use crate::access::scope::{Scope, scope_of};
use crate::access::verification::Verdict;
use crate::access::viewable::RESOURCES;
use crate::error::{Code, Error};
use crate::ports::{Acting, Asked, FailureKind};

/// Objects a page.
const A_PAGE: usize = 500;

/// Of no kind more than that is read: a picture for people.
const MOST: usize = 10_000;

/// What picture is to be taken.
#[derive(Clone, Debug)]
pub struct ViewRequest {
    /// Whose.
    pub principal: Principal,
    /// Namespace of the connector.
    pub namespace: String,
    /// Where; `None` leaves that to what the rules say.
    pub scope: Option<Scope>,
    /// How many rows of each kind are kept; `None` for all that are read.
    pub limit: Option<usize>,
}

/// Takes it.
///
/// # Errors
/// There is no connector; acting as it is denied; the API server does not answer.
pub async fn take(ports: &ViewPorts, request: &ViewRequest) -> Result<Picture, Error> {
    let (acting, scope) = futures::join!(become_connector(ports, &request.namespace), scope(ports, request));
    let acting = acting?.map_err(|denied| {
        denied
            .into_error("look at the cluster as the connector does")
            .fix("what the principal may view can be found out with fewer rights: eksconnect verify-view")
    })?;
    let (scope, notes) = scope?;
    let eye = Eye { acting, principal: request.principal.arn(), scope: &scope };
    let ((server, nodes, namespaces), (workloads, pods, events)) = futures::try_join!(
        async {
            futures::try_join!(eye.server(), eye.kind("nodes", "", some(facts::node)), eye.namespaces())
        },
        async {
            futures::try_join!(
                try_join_all(WorkloadKind::ALL.map(|kind| eye.workloads(kind))),
                eye.kind("pods", "", some(facts::pod)),
                eye.events(),
            )
        },
    )?;
    let mut picture = Picture {
        principal: request.principal.clone(),
        namespace: request.namespace.clone(),
        taken_at: Timestamp::now(),
        server,
        nodes,
        namespaces,
        workloads,
        pods,
        events,
        notes,
        scope: scope.clone(),
    };
    picture.bound(request.limit);
    Ok(picture)
}

fn some<T>(row: impl Fn(&Value) -> T) -> impl Fn(&Value) -> Option<T> {
    move |object| Some(row(object))
}

async fn scope(ports: &ViewPorts, request: &ViewRequest) -> Result<(Scope, Vec<String>), Error> {
    if let Some(scope) = &request.scope {
        return Ok((scope.clone(), Vec::new()));
    }
    let (rules, server) = futures::join!(ports.access.rules(), server(ports));
    match rules {
        Ok(rules) => {
            let connector = connector_of(&request.namespace);
            Ok((scope_of(&rules, &connector, &request.principal, server.constrains), Vec::new()))
        }
        Err(failure) if failure.kind == FailureKind::Denied => {
            let note = "Your rights do not show in which namespaces the principal views; --namespace-scope names them.";
            Ok((Scope::Cluster, vec![note.to_owned()]))
        }
        Err(failure) => Err(failure.into_error("read the access rules of the cluster")),
    }
}

impl Picture {
    fn bound(&mut self, limit: Option<usize>) {
        self.nodes.bound(limit);
        self.namespaces.bound(limit);
        self.pods.bound(limit);
        self.events.bound(limit);
        for (_, part) in &mut self.workloads {
            part.bound(limit);
        }
    }
}

/// Sees what the principal would see.
struct Eye<'a> {
    acting: Arc<dyn Acting>,
    principal: &'a str,
    scope: &'a Scope,
}

impl Eye<'_> {
    async fn ask(&self, path: &str) -> Result<Asked, Error> {
        let asked = patiently(self.acting.as_ref(), self.principal, &Call::Get(path.to_owned())).await?;
        refuse_unknown(&asked)?;
        Ok(asked)
    }

    async fn server(&self) -> Result<Part<ServerRow>, Error> {
        let (version, ready) = futures::try_join!(self.ask("/version"), self.ask("/readyz"))?;
        if !version.is_ok() {
            return Ok(Part { refusals: vec![refusal(None, &version)], ..Part::default() });
        }
        let ready = match verdict_of(&ready) {
            Verdict::Allowed => Some(ready.is_ok()),
            Verdict::RefusedByImpersonation | Verdict::RefusedByRbac | Verdict::Unknown => None,
        };
        Ok(Part { rows: vec![facts::server(&version.body, ready)], ..Part::default() })
    }

    /// Who may not list namespaces can still see those that it views, by name.
    async fn namespaces(&self) -> Result<Part<super::NamespaceRow>, Error> {
        let part = self.kind("namespaces", "", some(facts::namespace)).await?;
        let Scope::Namespaces(names) = self.scope else { return Ok(part) };
        if !part.is_forbidden() {
            return Ok(part);
        }
        let paths: Vec<String> = names.iter().map(|name| format!("/api/v1/namespaces/{name}")).collect();
        let asked = join_all(paths.iter().map(|path| self.ask(path))).await;
        let mut seen = Vec::new();
        for answer in asked {
            let answer = answer?;
            if answer.is_ok() {
                seen.push(facts::namespace(&answer.body));
            }
        }
        let unwell = seen.iter().filter(|row| !row.is_well()).count() as u64;
        Ok(Part { rows: seen, unwell, ..part })
    }

    async fn workloads(&self, kind: WorkloadKind) -> Result<(WorkloadKind, Part<WorkloadRow>), Error> {
        let (group, resource) = kind.resource();
        let part = self.kind(resource, group, |object| facts::workload(kind, object)).await?;
        Ok((kind, part))
    }

    async fn events(&self) -> Result<Part<super::EventRow>, Error> {
        let mut events = self.kind("events", "", some(facts::event)).await?;
        events.rows.sort_by_key(|event| std::cmp::Reverse(event.at));
        Ok(events)
    }

    /// Every object of a kind, in all places of the scope, one place after the other.
    async fn kind<T: Row>(
        &self,
        resource: &str,
        group: &str,
        row: impl Fn(&Value) -> Option<T>,
    ) -> Result<Part<T>, Error> {
        let Some(viewable) = RESOURCES.iter().find(|it| (it.resource, it.group) == (resource, group)) else {
            return Err(Error::failed(Code::INTERNAL, format!("{resource} are not among what is viewable")));
        };
        let places = if viewable.namespaced { self.scope.places() } else { vec![None] };
        let mut part = Part::default();
        for place in places {
            self.pages(&viewable.path(place), place, &row, &mut part).await?;
        }
        part.unwell = part.rows.iter().filter(|row| !row.is_well()).count() as u64;
        Ok(part)
    }

    async fn pages<T>(
        &self,
        path: &str,
        place: Option<&str>,
        row: &impl Fn(&Value) -> Option<T>,
        part: &mut Part<T>,
    ) -> Result<(), Error> {
        let mut next = String::new();
        loop {
            let page = self.ask(&format!("{path}?limit={A_PAGE}{next}")).await?;
            if !page.is_ok() {
                // A kind that this API server does not have is one of which there is nothing.
                if page.status != 404 {
                    part.refusals.push(refusal(place, &page));
                }
                return Ok(());
            }
            part.rows.extend(page.body["items"].as_array().into_iter().flatten().filter_map(row));
            let meta = &page.body["metadata"];
            let Some(token) = meta["continue"].as_str().filter(|token| !token.is_empty()) else {
                return Ok(());
            };
            if part.rows.len() >= MOST {
                part.more += meta["remainingItemCount"].as_u64().unwrap_or(0);
                return Ok(());
            }
            next = format!("&continue={}", utf8_percent_encode(token, NON_ALPHANUMERIC));
        }
    }
}

fn refusal(place: Option<&str>, asked: &Asked) -> Refusal {
    let by = match verdict_of(asked) {
        // It was allowed, and failed: a page that took too long, an API server in trouble.
        Verdict::Allowed => Verdict::Unknown,
        refused => refused,
    };
    Refusal { namespace: place.map(str::to_owned), by, message: asked.message.clone() }
}
