//! What the service that a credential is for said of it.

use roadstead_model::{Actor, CredentialId, Validity};
use time::OffsetDateTime;

use super::Credentials;
use crate::StoreError;
use crate::convert::ActorColumns;
use crate::db::Db;
use crate::error::During;

impl<D: Db> Credentials<D> {
    /// Writes down what was said of the values of a version. False when they were replaced meanwhile, or it is deleted:
    /// what was said is of no use then.
    #[tracing::instrument(name = "db.credential.validated", skip_all, fields(credential.id = %id), err(level = "debug"))]
    pub async fn validated(
        &mut self,
        id: CredentialId,
        version: i32,
        validity: Validity,
        actor: &Actor,
        at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        const NAME: &str = "db.credential.validated";
        let actor = ActorColumns::from(actor);
        let mut connection = self.db.connection().await.during(NAME)?;
        let done = sqlx::query_scalar!(
            r#"with validated as (
                 update credentials set validation = $3, validated_at = $4
                 where id = $1 and version = $2 and deleted_at is null
                 returning id
               ), event as (
                 insert into credential_events (id, credential_id, at, event_type, event_data, user_id, api_key_id)
                 select uuid_v7($4), id, $4, 'validated', jsonb_build_object('validity', $3::text), $5, $6
                 from validated
               )
               select exists (select from validated) as "done!""#,
            id.uuid(),
            version,
            validity.as_str(),
            at,
            actor.user,
            actor.api_key,
        )
        .fetch_one(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        Ok(done)
    }
}
