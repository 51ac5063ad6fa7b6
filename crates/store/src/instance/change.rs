//! What happens to an instance after it is reserved: one statement per step, with its event.

use roadstead_model::{Actor, Confinement, EventType, InstanceId, InstanceStatus};
use serde_json::Value;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::read::select;
use super::row::Record;
use super::{Desired, InstanceRow, Instances, ProcessMark, TABLE};
use crate::StoreError;
use crate::convert::{self, ActorColumns};
use crate::db::{Db, System};
use crate::error::During;

/// That a server is ready.
#[derive(Debug, Clone)]
pub struct Started {
    /// When.
    pub at: OffsetDateTime,
    /// The server's first process.
    pub process: ProcessMark,
    /// Its shim.
    pub shim: ProcessMark,
    /// How it is confined; none from a shim that does not know.
    pub confinement: Option<Confinement>,
    /// The master key that its control secret was made from; none to leave what the row says.
    pub control_key: Option<u32>,
    /// Who launched it.
    pub actor: Actor,
    /// The particulars of the `started` event, a JSON object without secrets.
    pub event_data: Value,
}

/// An access token in place of the one before.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    /// Its SHA-256.
    pub hash: &'a [u8; 32],
    /// Its end; empty when nobody has it.
    pub hint: &'a str,
    /// The event that tells of it.
    pub event_type: EventType,
}

/// That an instance is over.
#[derive(Debug, Clone)]
pub struct Ending {
    /// How: a status that is not live.
    pub status: InstanceStatus,
    /// When.
    pub at: OffsetDateTime,
    /// What went wrong; `Error` must have it.
    pub error_message: Option<String>,
    /// What is known of the processes' end.
    pub exit: Option<Value>,
    /// The event that tells of it.
    pub event_type: EventType,
    /// The event's particulars, a JSON object without secrets.
    pub event_data: Value,
    /// Who ended it.
    pub actor: Actor,
    /// Until when the port rests.
    pub quarantine_until: Option<OffsetDateTime>,
}

impl Instances<System<'_>> {
    /// A pending instance is ready; answers its row. None when it is not pending any more.
    #[tracing::instrument(name = "db.instance.mark_running", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn mark_running(
        &self,
        id: InstanceId,
        started: &Started,
    ) -> Result<Option<InstanceRow>, StoreError> {
        let actor = ActorColumns::from(&started.actor);
        let (pid, pid_started) = columns(id, started.process)?;
        let (shim, shim_started) = columns(id, started.shim)?;
        let record = select!(
            changed "with mcp_instances as (
               update mcp_instances
               set status = 'running', started_at = $2, process_id = $3, process_started = $4,
                   shim_pid = $5, shim_started = $6, confinement = $12,
                   control_key = coalesce($13, control_key)
               where id = $1 and status = 'pending'
               returning *
             ), event as (
               insert into mcp_events (id, mcp_instance_id, at, event_type, event_data,
                                       user_id, api_key_id, ip_address, user_agent)
               select uuid_v7($2), id, $2, 'started', $7, $8, $9, $10::text::inet, $11 from mcp_instances
             ) ",
            "",
            id.uuid(),
            started.at,
            pid,
            pid_started,
            shim,
            shim_started,
            started.event_data,
            actor.user,
            actor.api_key,
            actor.ip_address,
            actor.user_agent,
            started.confinement.map(Json) as _,
            started.control_key.map(i64::from),
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.instance.mark_running")?;
        record.map(InstanceRow::try_from).transpose()
    }

    /// The shim of a live instance was taken over after a restart of ours. Its generation is raised to `generation` if it is
    /// lower: the shim has seen that one. `control_key` is the master key that its secret was made from. False when the instance is over.
    #[tracing::instrument(name = "db.instance.mark_adopted", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn mark_adopted(
        &self,
        id: InstanceId,
        generation: i64,
        control_key: u32,
        event_data: &Value,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        sqlx::query_scalar!(
            r#"with adopted as (
                 update mcp_instances set generation = greatest(generation, $2), control_key = $5
                 where id = $1 and status in ('pending', 'running')
                 returning id
               ), event as (
                 insert into mcp_events (id, mcp_instance_id, at, event_type, event_data)
                 select uuid_v7($3), id, $3, 'adopted', $4 from adopted
               )
               select exists (select from adopted) as "done!""#,
            id.uuid(),
            generation,
            at,
            event_data,
            i64::from(control_key),
        )
        .fetch_one(self.db.pool)
        .await
        .during("db.instance.mark_adopted")
    }

    /// A running instance that was restarted is ready again; answers what the row says by now, of which the new shim
    /// may not know the last change. None when it does not run any more.
    #[tracing::instrument(name = "db.instance.mark_restarted", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn mark_restarted(
        &self,
        id: InstanceId,
        type_version: i32,
        credential_version: Option<i32>,
        packages: &[String],
        started: &Started,
    ) -> Result<Option<Desired>, StoreError> {
        let actor = ActorColumns::from(&started.actor);
        let (pid, pid_started) = columns(id, started.process)?;
        let (shim, shim_started) = columns(id, started.shim)?;
        let row = sqlx::query!(
            r#"with running as (
                 update mcp_instances
                 set started_at = $2, process_id = $3, process_started = $4, shim_pid = $5, shim_started = $6,
                     type_version = $12, confinement = $13, control_key = coalesce($14, control_key),
                     credential_version = $15, error_message = null, spool_seq = 0, packages = $16::text[]
                 where id = $1 and status = 'running' and stopping_at is null
                 returning id, generation, expires_at, access_token_hash
               ), event as (
                 insert into mcp_events (id, mcp_instance_id, at, event_type, event_data,
                                         user_id, api_key_id, ip_address, user_agent)
                 select uuid_v7($2), id, $2, 'restarted', $7, $8, $9, $10::text::inet, $11 from running
               )
               select generation, expires_at, access_token_hash from running"#,
            id.uuid(),
            started.at,
            pid,
            pid_started,
            shim,
            shim_started,
            started.event_data,
            actor.user,
            actor.api_key,
            actor.ip_address,
            actor.user_agent,
            type_version,
            started.confinement.map(Json) as _,
            started.control_key.map(i64::from),
            credential_version,
            packages,
        )
        .fetch_optional(self.db.pool)
        .await
        .during("db.instance.mark_restarted")?;
        row.map(|row| {
            let token_hash = convert::hash(&row.access_token_hash)
                .map_err(|why| StoreError::inconsistent(TABLE, id, why))?;
            Ok(Desired { generation: row.generation, expires_at: row.expires_at, token_hash })
        })
        .transpose()
    }

    /// The oldest of a running instance's server processes is another one now. False when it does not run any more.
    #[tracing::instrument(name = "db.instance.change_process", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn change_process(&self, id: InstanceId, process: ProcessMark) -> Result<bool, StoreError> {
        let (pid, started) = columns(id, process)?;
        let done = sqlx::query!(
            "update mcp_instances set process_id = $2, process_started = $3 where id = $1 and status = 'running'",
            id.uuid(),
            pid,
            started,
        )
        .execute(self.db.pool)
        .await
        .during("db.instance.change_process")?;
        Ok(done.rows_affected() == 1)
    }

    /// A live instance is over: its port is free again and rests. False when it was over before: nothing is changed
    /// and no event is written twice.
    #[tracing::instrument(
        name = "db.instance.finish", skip_all,
        fields(instance.id = %id, instance.status = %ending.status), err(level = "debug")
    )]
    pub async fn finish(&self, id: InstanceId, ending: &Ending) -> Result<bool, StoreError> {
        let actor = ActorColumns::from(&ending.actor);
        sqlx::query_scalar!(
            r#"with ended as (
                 update mcp_instances
                 set status = $2, error_message = coalesce($4, error_message), exit = $5,
                     -- That it was ready may have been heard after it had ended again.
                     ended_at = greatest($3, started_at),
                     assigned_port = null, stopping_at = null
                 where id = $1 and status in ('pending', 'running')
                 returning id, ended_at
               ), port as (
                 update port_allocations p
                 set mcp_instance_id = null, is_available = true, released_at = $3, quarantined_until = $6,
                     released_by = ended.id
                 from ended where p.mcp_instance_id = ended.id
               ), event as (
                 insert into mcp_events (id, mcp_instance_id, at, event_type, event_data,
                                         user_id, api_key_id, ip_address, user_agent)
                 select uuid_v7(ended_at), id, ended_at, $7, $8, $9, $10, $11::text::inet, $12 from ended
               )
               select exists (select from ended) as "done!""#,
            id.uuid(),
            ending.status.as_str(),
            ending.at,
            ending.error_message,
            ending.exit,
            ending.quarantine_until,
            ending.event_type.as_str(),
            ending.event_data,
            actor.user,
            actor.api_key,
            actor.ip_address,
            actor.user_agent,
        )
        .fetch_one(self.db.pool)
        .await
        .during("db.instance.finish")
    }

    /// A running instance was asked to leave. False when it is not running, or was asked before.
    #[tracing::instrument(name = "db.instance.mark_stopping", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn mark_stopping(
        &self,
        id: InstanceId,
        reason: &str,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update mcp_instances set stopping_at = $3, stop_reason = $2
             where id = $1 and status = 'running' and stopping_at is null",
            id.uuid(),
            reason,
            at,
        )
        .execute(self.db.pool)
        .await
        .during("db.instance.mark_stopping")?;
        Ok(done.rows_affected() == 1)
    }
}

impl<D: Db> Instances<D> {
    /// Moves the deadline of a running instance; answers its new generation, which the shim must be told.
    /// None when it is not running, or on its way out.
    #[tracing::instrument(name = "db.instance.set_deadline", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn set_deadline(
        &mut self,
        id: InstanceId,
        expires_at: OffsetDateTime,
        actor: &Actor,
        event_data: &Value,
        at: OffsetDateTime,
    ) -> Result<Option<i64>, StoreError> {
        const NAME: &str = "db.instance.set_deadline";
        let actor = ActorColumns::from(actor);
        let mut connection = self.db.connection().await.during(NAME)?;
        let done = sqlx::query_scalar!(
            r#"with changed as (
                 update mcp_instances set expires_at = $2, deadline_set_at = $3, generation = generation + 1
                 where id = $1 and status = 'running' and stopping_at is null
                 returning id, generation
               ), event as (
                 insert into mcp_events (id, mcp_instance_id, at, event_type, event_data,
                                         user_id, api_key_id, ip_address, user_agent)
                 select uuid_v7($3), id, $3, 'extended', $4, $5, $6, $7::text::inet, $8 from changed
               )
               select generation from changed"#,
            id.uuid(),
            expires_at,
            at,
            event_data,
            actor.user,
            actor.api_key,
            actor.ip_address,
            actor.user_agent,
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(done)
    }

    /// Gives a running instance another access token, or one that nobody has; answers its new generation, which the shim must
    /// be told. None when it is not running, or on its way out.
    #[tracing::instrument(name = "db.instance.set_token", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn set_token(
        &mut self,
        id: InstanceId,
        token: NewToken<'_>,
        actor: &Actor,
        at: OffsetDateTime,
    ) -> Result<Option<i64>, StoreError> {
        const NAME: &str = "db.instance.set_token";
        let actor = ActorColumns::from(actor);
        let mut connection = self.db.connection().await.during(NAME)?;
        let done = sqlx::query_scalar!(
            r#"with changed as (
                 update mcp_instances set access_token_hash = $2, token_hint = $3, generation = generation + 1
                 where id = $1 and status = 'running' and stopping_at is null
                 returning id, generation
               ), event as (
                 insert into mcp_events (id, mcp_instance_id, at, event_type,
                                         user_id, api_key_id, ip_address, user_agent)
                 select uuid_v7($4), id, $4, $9, $5, $6, $7::text::inet, $8 from changed
               )
               select generation from changed"#,
            id.uuid(),
            &token.hash[..],
            token.hint,
            at,
            actor.user,
            actor.api_key,
            actor.ip_address,
            actor.user_agent,
            token.event_type.as_str(),
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(done)
    }

    /// Soft-deletes an instance that is over and wipes the values that came with its launch. False when it is live,
    /// deleted before, or unknown.
    #[tracing::instrument(name = "db.instance.soft_delete", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn soft_delete(
        &mut self,
        id: InstanceId,
        actor: &Actor,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        const NAME: &str = "db.instance.soft_delete";
        let actor = ActorColumns::from(actor);
        let mut connection = self.db.connection().await.during(NAME)?;
        let done = sqlx::query_scalar!(
            r#"with deleted as (
                 update mcp_instances set deleted_at = $2
                 where id = $1 and deleted_at is null and status not in ('pending', 'running')
                 returning id
               ), wiped as (
                 delete from instance_secrets s using deleted where s.instance_id = deleted.id
               ), event as (
                 insert into mcp_events (id, mcp_instance_id, at, event_type,
                                         user_id, api_key_id, ip_address, user_agent)
                 select uuid_v7($2), id, $2, 'deleted', $3, $4, $5::text::inet, $6 from deleted
               )
               select exists (select from deleted) as "done!""#,
            id.uuid(),
            at,
            actor.user,
            actor.api_key,
            actor.ip_address,
            actor.user_agent,
        )
        .fetch_one(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(done)
    }
}

impl Instances<System<'_>> {
    /// Records or clears what is wrong with an instance that lives on. False when it is over.
    #[tracing::instrument(name = "db.instance.set_live_error", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn set_live_error(&self, id: InstanceId, message: Option<&str>) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update mcp_instances set error_message = $2 where id = $1 and status in ('pending', 'running')",
            id.uuid(),
            message,
        )
        .execute(self.db.pool)
        .await
        .during("db.instance.set_live_error")?;
        Ok(done.rows_affected() == 1)
    }

    /// Records the last use of many instances at once.
    #[tracing::instrument(name = "db.instance.touch_many", skip_all, err(level = "debug"))]
    pub async fn touch_many(&self, uses: &[(InstanceId, OffsetDateTime)]) -> Result<(), StoreError> {
        let (ids, times) = convert::latest(uses.iter().map(|(id, at)| (id.uuid(), *at)));
        sqlx::query!(
            "update mcp_instances i set last_accessed = u.at
             from unnest($1::uuid[], $2::timestamptz[]) as u (id, at)
             where i.id = u.id and (i.last_accessed is null or i.last_accessed < u.at)",
            &ids,
            &times,
        )
        .execute(self.db.pool)
        .await
        .during("db.instance.touch_many")
        .map(drop)
    }

    /// Records the figures of many instances at once; of two for one instance, the last is kept.
    #[tracing::instrument(name = "db.instance.record_stats", skip_all, err(level = "debug"))]
    pub async fn record_stats(&self, stats: &[(InstanceId, Value)]) -> Result<(), StoreError> {
        let last: std::collections::BTreeMap<Uuid, Value> =
            stats.iter().map(|(id, figures)| (id.uuid(), figures.clone())).collect();
        let (ids, figures): (Vec<Uuid>, Vec<Value>) = last.into_iter().unzip();
        sqlx::query!(
            "update mcp_instances i set stats = s.stats
             from unnest($1::uuid[], $2::jsonb[]) as s (id, stats) where i.id = s.id",
            &ids,
            &figures,
        )
        .execute(self.db.pool)
        .await
        .during("db.instance.record_stats")
        .map(drop)
    }

    /// Records that an instance's spool is stored up to a number; never goes back.
    #[tracing::instrument(name = "db.instance.set_spool_seq", skip_all, fields(instance.id = %id), err(level = "debug"))]
    pub async fn set_spool_seq(&self, id: InstanceId, seq: i64) -> Result<(), StoreError> {
        sqlx::query!(
            "update mcp_instances set spool_seq = greatest(spool_seq, $2) where id = $1",
            id.uuid(),
            seq
        )
        .execute(self.db.pool)
        .await
        .during("db.instance.set_spool_seq")
        .map(drop)
    }
}

/// A process as its two columns.
fn columns(id: InstanceId, process: ProcessMark) -> Result<(i32, i64), StoreError> {
    match (i32::try_from(process.pid), i64::try_from(process.started)) {
        (Ok(pid), Ok(started)) => Ok((pid, started)),
        _ => Err(StoreError::inconsistent(TABLE, id, "a process whose number no kernel gives")),
    }
}
