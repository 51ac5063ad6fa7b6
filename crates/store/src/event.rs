//! Events: the steps of an instance's life. Most are written by the statement that changes the instance.

use roadstead_model::{Actor, ApiKeyId, EventId, EventType, InstanceId, OrganizationId, UserId, View};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::convert::ActorColumns;
use crate::db::{Db, System};
use crate::error::During;
use crate::page::one_more;
use crate::{Order, Origin, Page, StoreError, TimelineCursor, convert};

const TABLE: &str = "mcp_events";

/// An event to store.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Whose life it belongs to.
    pub instance: InstanceId,
    /// When it happened, by its writer's clock.
    pub at: OffsetDateTime,
    /// The number that a shim gave it; none for an event of our own.
    pub shim_seq: Option<i64>,
    /// What happened.
    pub event_type: EventType,
    /// The particulars, a JSON object without secrets.
    pub data: Value,
    /// Who caused it.
    pub actor: Actor,
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// The event's id.
    pub id: EventId,
    /// Whose life it belongs to.
    pub instance: InstanceId,
    /// When it happened.
    pub at: OffsetDateTime,
    /// Its number.
    pub seq: i64,
    /// Who numbered it.
    pub origin: Origin,
    /// What happened.
    pub event_type: EventType,
    /// The particulars.
    pub data: Value,
    /// Who caused it.
    pub actor: Actor,
}

impl EventRow {
    /// Its place in the history.
    pub fn cursor(&self) -> TimelineCursor {
        TimelineCursor { at: self.at, seq: self.seq, origin: self.origin }
    }
}

struct Record {
    id: Uuid,
    mcp_instance_id: Uuid,
    at: OffsetDateTime,
    seq: i64,
    origin: String,
    event_type: String,
    event_data: Value,
    user_id: Option<Uuid>,
    api_key_id: Option<Uuid>,
    ip_address: Option<String>,
    user_agent: Option<String>,
}

impl TryFrom<Record> for EventRow {
    type Error = StoreError;

    fn try_from(record: Record) -> Result<Self, StoreError> {
        let id = record.id;
        let wrong = |why: String| StoreError::inconsistent(TABLE, id, why);
        Ok(Self {
            id: EventId::from_uuid(id),
            instance: InstanceId::from_uuid(record.mcp_instance_id),
            at: record.at,
            seq: record.seq,
            origin: Origin::parse(&record.origin).map_err(wrong)?,
            event_type: record
                .event_type
                .parse()
                .map_err(|error: roadstead_model::era::UnknownWord| wrong(error.to_string()))?,
            data: record.event_data,
            actor: Actor {
                user: record.user_id.map(UserId::from_uuid),
                api_key: record.api_key_id.map(ApiKeyId::from_uuid),
                ip_address: convert::address(record.ip_address.as_deref()).map_err(wrong)?,
                user_agent: record.user_agent,
                ..Actor::SYSTEM
            },
        })
    }
}

/// The events' rows.
#[derive(Debug, Clone, Copy)]
pub struct Events<D> {
    pub(crate) db: D,
}

impl Events<System<'_>> {
    /// Stores an event. False when it is stored already, or there is no such instance.
    #[tracing::instrument(
        name = "db.event.append", skip_all,
        fields(instance.id = %new.instance, event.kind = new.event_type.as_str()), err(level = "debug")
    )]
    pub async fn append(&self, new: &NewEvent) -> Result<bool, StoreError> {
        let actor = ActorColumns::from(&new.actor);
        let origin = if new.shim_seq.is_some() { Origin::Shim } else { Origin::Node };
        let done = sqlx::query!(
            "insert into mcp_events (id, mcp_instance_id, at, seq, origin, event_type, event_data,
                                     user_id, api_key_id, ip_address, user_agent)
             select uuid_v7($2), i.id, $2, coalesce($3, nextval('mcp_node_seq')), $4, $5, $6, $7, $8, $9::text::inet, $10
             from mcp_instances i where i.id = $1
             on conflict do nothing",
            new.instance.uuid(),
            new.at,
            new.shim_seq,
            origin.as_str(),
            new.event_type.as_str(),
            new.data,
            actor.user,
            actor.api_key,
            actor.ip_address,
            actor.user_agent,
        )
        .execute(self.db.pool)
        .await
        .during("db.event.append")?;
        Ok(done.rows_affected() == 1)
    }
}

impl<D: Db> Events<D> {
    /// The history of an instance in view, deleted or not.
    #[tracing::instrument(name = "db.event.list", skip_all, fields(instance.id = %instance), err(level = "debug"))]
    pub async fn list(
        &mut self,
        instance: InstanceId,
        view: Option<View>,
        after: Option<TimelineCursor>,
        limit: u32,
        order: Order,
    ) -> Result<Page<EventRow, TimelineCursor>, StoreError> {
        const NAME: &str = "db.event.list";
        let after = after.unwrap_or_else(|| TimelineCursor::end(order));
        let mut connection = self.db.connection().await.during(NAME)?;
        macro_rules! select {
            ($tail:literal) => {
                sqlx::query_as!(
                    Record,
                    "select id, mcp_instance_id, at, seq, origin, event_type, event_data, user_id, api_key_id,
                            host(ip_address) as ip_address, user_agent
                     from mcp_events where mcp_instance_id = $1
                       and ($6::uuid is null or owner_id = $6) and ($7::uuid is null or organization_id = $7) "
                        + $tail,
                    instance.uuid(),
                    after.at,
                    after.seq,
                    after.origin.as_str(),
                    one_more(limit),
                    view.and_then(|view| view.owner()).map(UserId::uuid),
                    view.and_then(|view| view.within()).map(OrganizationId::uuid),
                )
                .fetch_all(&mut *connection)
                .await
            };
        }
        let records = match order {
            Order::Ascending => {
                select!("and (at, seq, origin) > ($2, $3, $4) order by at, seq, origin limit $5")
            }
            Order::Descending => {
                select!(
                    "and (at, seq, origin) < ($2, $3, $4) order by at desc, seq desc, origin desc limit $5"
                )
            }
        }
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(EventRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(rows, limit, EventRow::cursor))
    }
}
