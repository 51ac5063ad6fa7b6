//! The same verb for many instances: first what it would do, then, when asked for, done.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use roadstead_access::InstancePermit;
use roadstead_control::StopReason;
use roadstead_model::{Changes, InstanceId, InvalidTransition, Verb};
use roadstead_store::InstanceRow;
use serde_json::json;

use crate::error::ChangeError;
use crate::parts::Orchestrator;
use crate::query::InstanceQuery;

/// Instances that one request may concern.
pub const MAX_BULK: usize = 1000;
/// Instances that end at one time: each waits for its own processes, and the machine has others to serve.
const AT_ONCE: usize = 8;
/// Instances that are looked up at once.
const PAGE: u32 = 100;

/// What is done to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkAction {
    /// It is asked to leave.
    Stop,
    /// It ends as its deadline would end it.
    Expire,
    /// It is stopped and its row deleted.
    Delete,
}

/// Which instances.
#[derive(Debug, Clone)]
pub enum BulkChoice {
    /// These.
    Ids(Vec<InstanceId>),
    /// Those that a list would show.
    Filter(Box<InstanceQuery>),
}

/// What became of one, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkEnd {
    /// It would be done.
    Would,
    /// It was done.
    Done,
    /// There is none in view.
    Missing,
    /// Its status does not permit it.
    Refused(InvalidTransition),
    /// The database did not take it.
    Failed,
}

/// One instance of many.
#[derive(Debug, Clone)]
pub struct BulkOutcome {
    /// Which.
    pub id: InstanceId,
    /// What its owner calls it; none when there is none in view.
    pub name: Option<String>,
    /// What became of it.
    pub end: BulkEnd,
}

/// What became of all of them.
#[derive(Debug, Clone)]
pub struct BulkAnswer {
    /// Each, in the order of the ids, or as the list shows them.
    pub outcomes: Vec<BulkOutcome>,
    /// Whether the filter lets more through than one request may concern.
    pub more: bool,
}

impl BulkAction {
    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Expire => "expire",
            Self::Delete => "delete",
        }
    }

    const fn verb(self) -> Verb {
        match self {
            Self::Stop => Verb::Stop,
            Self::Expire => Verb::Expire,
            Self::Delete => Verb::Delete,
        }
    }

    const fn reason(self) -> StopReason {
        match self {
            Self::Stop | Self::Delete => StopReason::Requested,
            Self::Expire => StopReason::Expired,
        }
    }
}

impl BulkEnd {
    /// The word used in JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Would => "would",
            Self::Done => "done",
            Self::Missing => "missing",
            Self::Refused(_) => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Orchestrator {
    /// Does the same to many instances that the permit reaches, or says what it would do. The work goes on if the caller
    /// stops waiting; one entry of the audit log says what became of all.
    pub async fn bulk(
        &self,
        permit: InstancePermit,
        action: BulkAction,
        choice: BulkChoice,
        dry_run: bool,
    ) -> Result<BulkAnswer, ChangeError> {
        let (chosen, more) = self.chosen(&permit, choice).await?;
        if dry_run {
            let outcomes = chosen.iter().map(|(id, row)| self.before(action, *id, row.as_ref())).collect();
            return Ok(BulkAnswer { outcomes, more });
        }
        let this = self.clone();
        let work = async move { this.do_all(&permit, action, chosen).await };
        let outcomes = self.0.parts.tasks.spawn(work).await.map_err(ChangeError::Panicked)??;
        Ok(BulkAnswer { outcomes, more })
    }

    async fn chosen(
        &self,
        permit: &InstancePermit,
        choice: BulkChoice,
    ) -> Result<(Vec<(InstanceId, Option<InstanceRow>)>, bool), ChangeError> {
        let mut chosen = Vec::new();
        match choice {
            BulkChoice::Ids(ids) => {
                for id in ids {
                    let row = match self.get(permit, id).await {
                        Ok(row) => Some(row),
                        Err(ChangeError::NotFound) => None,
                        Err(error) => return Err(error),
                    };
                    chosen.push((id, row));
                }
                Ok((chosen, false))
            }
            BulkChoice::Filter(mut query) => {
                query.limit = PAGE;
                loop {
                    let page = self.list(permit, (*query).clone()).await?;
                    chosen.extend(page.items.into_iter().map(|row| (row.id, Some(row))));
                    query.after = page.next;
                    if query.after.is_none() || chosen.len() >= MAX_BULK {
                        break;
                    }
                }
                let more = query.after.is_some() || chosen.len() > MAX_BULK;
                chosen.truncate(MAX_BULK);
                Ok((chosen, more))
            }
        }
    }

    fn before(&self, action: BulkAction, id: InstanceId, row: Option<&InstanceRow>) -> BulkOutcome {
        let name = row.map(|row| row.name.clone());
        let end = match row.map(|row| row.standing(self.0.now()).permits(action.verb())) {
            None => BulkEnd::Missing,
            Some(Err(refused)) if action != BulkAction::Delete => BulkEnd::Refused(refused),
            Some(_) => BulkEnd::Would,
        };
        BulkOutcome { id, name, end }
    }

    async fn do_all(
        &self,
        permit: &InstancePermit,
        action: BulkAction,
        chosen: Vec<(InstanceId, Option<InstanceRow>)>,
    ) -> Result<Vec<BulkOutcome>, ChangeError> {
        let permit = Arc::new(permit.clone());
        let outcomes: Vec<BulkOutcome> = stream::iter(chosen)
            .map(|(id, row)| {
                let (this, permit) = (self.clone(), Arc::clone(&permit));
                async move {
                    let mut outcome = this.before(action, id, row.as_ref());
                    if outcome.end == BulkEnd::Would {
                        outcome.end = this.do_one(&permit, action, id, row.as_ref()).await;
                    }
                    outcome
                }
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let told: BTreeMap<String, &str> =
            outcomes.iter().map(|one| (one.id.to_string(), one.end.as_str())).collect();
        let changes = Changes::default().with("action", None, &json!(action.as_str())).with(
            "instances",
            None,
            &json!(told),
        );
        let change = self.0.store().change(permit.view()).await?;
        change.commit(&permit.entry(&action.as_str(), changes, self.0.now())).await?;
        Ok(outcomes)
    }

    async fn do_one(
        &self,
        permit: &InstancePermit,
        action: BulkAction,
        id: InstanceId,
        row: Option<&InstanceRow>,
    ) -> BulkEnd {
        let actor = permit.actor();
        if row.is_some_and(|row| row.status().is_live()) {
            self.ask_to_end(id, action.reason(), actor.clone()).await;
        }
        if action != BulkAction::Delete {
            return BulkEnd::Done;
        }
        match self.0.store().instances().soft_delete(id, actor, self.0.now()).await {
            // Somebody else was quicker: gone is what was wanted.
            Ok(_) => BulkEnd::Done,
            Err(error) => {
                tracing::error!(instance.id = %id, error = &error as &dyn std::error::Error, "an instance of many was not deleted");
                BulkEnd::Failed
            }
        }
    }
}
