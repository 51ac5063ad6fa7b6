//! Looking at credentials: what they are called and how they end, never what they are.

use roadstead_model::{CredentialId, OrganizationId, TypeId, UserId, View};

use super::{CredentialRow, Credentials, Record};
use crate::db::Db;
use crate::error::During;
use crate::page::one_more;
use crate::{Cursor, Order, Page, StoreError};

/// Credentials with the hints of their slots; `$tail` is the condition.
macro_rules! select {
    ($tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Record,
            r#"select c.id, c.user_id, c.organization_id, c.project_id, c.mcp_type_id, t.name as type_name, c.name,
                      c.hint, c.is_active, c.expires_at, c.version, c.validation, c.validated_at, c.last_used_at,
                      c.created_at, c.updated_at,
                      (select coalesce(jsonb_agg(jsonb_build_object('slot', s.slot, 'hint', s.hint) order by s.slot), '[]')
                       from credential_secrets s where s.credential_id = c.id) as "slots!"
               from credentials c join mcp_types t on t.id = c.mcp_type_id
               where c.deleted_at is null "#
                + $tail
            $(, $argument)*
        )
    };
}

impl CredentialRow {
    /// Its place in a list.
    pub fn cursor(&self) -> Cursor {
        Cursor { at: self.created_at, id: self.id.uuid() }
    }
}

impl<D: Db> Credentials<D> {
    /// One credential; `owner` hides those of others.
    #[tracing::instrument(name = "db.credential.get", skip_all, fields(credential.id = %id), err(level = "debug"))]
    pub async fn get(
        &mut self,
        id: CredentialId,
        owner: Option<UserId>,
    ) -> Result<Option<CredentialRow>, StoreError> {
        const NAME: &str = "db.credential.get";
        let mut connection = self.db.connection().await.during(NAME)?;
        let record = select!(
            "and c.id = $1 and ($2::uuid is null or c.user_id = $2)",
            id.uuid(),
            owner.map(UserId::uuid),
        )
        .fetch_optional(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        record.map(CredentialRow::try_from).transpose()
    }

    /// A user's credentials, perhaps only those for one type, oldest first.
    #[tracing::instrument(name = "db.credential.list", skip_all, fields(user.id = %owner), err(level = "debug"))]
    pub async fn list(
        &mut self,
        owner: UserId,
        type_id: Option<TypeId>,
    ) -> Result<Vec<CredentialRow>, StoreError> {
        const NAME: &str = "db.credential.list";
        let mut connection = self.db.connection().await.during(NAME)?;
        let records = select!(
            "and c.user_id = $1 and ($2::uuid is null or c.mcp_type_id = $2) order by c.created_at, c.id",
            owner.uuid(),
            type_id.map(TypeId::uuid),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        records.into_iter().map(CredentialRow::try_from).collect()
    }

    /// A page of the credentials in a view, oldest first.
    #[tracing::instrument(name = "db.credential.page", skip_all, err(level = "debug"))]
    pub async fn page(
        &mut self,
        view: View,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<CredentialRow>, StoreError> {
        const NAME: &str = "db.credential.page";
        let after = after.unwrap_or_else(|| Cursor::end(Order::Ascending));
        let mut connection = self.db.connection().await.during(NAME)?;
        let records = select!(
            "and ($1::uuid is null or c.user_id = $1) and ($2::uuid is null or c.organization_id = $2)
             and (c.created_at, c.id) > ($3, $4::uuid) order by c.created_at, c.id limit $5",
            view.owner().map(UserId::uuid),
            view.within().map(OrganizationId::uuid),
            after.at,
            after.id,
            one_more(limit),
        )
        .fetch_all(&mut *connection)
        .await
        .during(NAME)?;
        connection.done().await.during(NAME)?;
        let rows = records.into_iter().map(CredentialRow::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::cut(rows, limit, CredentialRow::cursor))
    }
}
