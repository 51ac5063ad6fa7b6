//! What can go wrong between us and the database.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counted where every such error is made, so that no caller can forget to.
static UNAVAILABLE: AtomicU64 = AtomicU64::new(0);

/// How many statements of this process failed because the database was not there, or was too busy.
pub fn unavailable_count() -> u64 {
    UNAVAILABLE.load(Ordering::Relaxed)
}

/// Why a statement did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be reached, or did not carry out a statement.
    #[error("the database did not carry out {statement}")]
    Database {
        /// The name of the statement, as in its span.
        statement: &'static str,
        /// What the driver says.
        #[source]
        source: sqlx::Error,
    },
    /// A row that no code of ours could have written.
    #[error("row {id} of {table} is inconsistent: {why}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
        /// Which columns disagree, never their values.
        why: String,
    },
    /// Something of that name is there already.
    #[error("a {noun} with the same {field} exists already")]
    Duplicate {
        /// What exists already.
        noun: &'static str,
        /// What must differ.
        field: &'static str,
    },
    /// A row refers to something that is not there.
    #[error("the {noun} that was named does not exist")]
    Missing {
        /// What is not there.
        noun: &'static str,
    },
    /// The database keeps a rule that the row breaks.
    #[error("the database refused a row that breaks the rule {constraint}")]
    Refused {
        /// The rule's name in the migrations.
        constraint: String,
    },
    /// The service may not take the role that row security is made for.
    #[error(
        "the database role of this service may not take the role roadstead_caller; as an administrator: \
         grant roadstead_caller to the role of the service"
    )]
    NoCallerRole,
    /// Nothing was prepared for the month that a row belongs to.
    #[error("no partition is prepared for the time of a row of {table}")]
    NoPartition {
        /// The table.
        table: String,
    },
}

impl StoreError {
    /// Whether the same statement may work later: the database is not there, or is too busy.
    pub fn is_unavailable(&self) -> bool {
        let Self::Database { source, .. } = self else { return false };
        match source {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            // Connection exceptions, too few resources, and an operator's intervention.
            sqlx::Error::Database(error) => error
                .code()
                .is_some_and(|code| ["08", "53", "57"].iter().any(|class| code.starts_with(class))),
            _ => false,
        }
    }

    pub(crate) fn inconsistent(
        table: &'static str,
        id: impl std::fmt::Display,
        why: impl Into<String>,
    ) -> Self {
        Self::Inconsistent { table, id: id.to_string(), why: why.into() }
    }

    fn new(statement: &'static str, source: sqlx::Error) -> Self {
        let Some(error) = source.as_database_error() else { return Self::Database { statement, source } };
        let constraint = error.constraint().unwrap_or_default();
        match error.code().as_deref() {
            Some("23505") => match UNIQUE.iter().find(|(name, ..)| *name == constraint) {
                Some(&(_, noun, field)) => Self::Duplicate { noun, field },
                None => Self::Refused { constraint: constraint.to_owned() },
            },
            Some("23503") => match foreign_noun(constraint) {
                Some(noun) => Self::Missing { noun },
                None => Self::Refused { constraint: constraint.to_owned() },
            },
            // A check without a name is the database's own: the row fits no partition.
            Some("23514") if constraint.is_empty() => {
                Self::NoPartition { table: error.table().unwrap_or("a partitioned table").to_owned() }
            }
            Some("23514") => Self::Refused { constraint: constraint.to_owned() },
            _ => Self::Database { statement, source },
        }
    }
}

/// Constraint, noun, and what must differ.
const UNIQUE: &[(&str, &str, &str)] = &[
    ("users_email_taken", "user", "email"),
    ("users_pkey", "user", "id"),
    ("organizations_slug_taken", "organisation", "slug"),
    ("projects_slug_taken", "project", "slug"),
    ("org_members_once", "member", "user"),
    ("api_keys_hash_taken", "API key", "hash"),
    ("api_keys_pkey", "API key", "id"),
    ("mcp_types_name_taken", "server type", "name"),
    ("mcp_types_name_taken_in_project", "server type", "name"),
    ("mcp_types_pkey", "server type", "id"),
    ("credentials_name_taken", "credential", "name"),
    ("credentials_pkey", "credential", "id"),
    ("credential_secrets_pkey", "credential", "slot"),
    ("instance_secrets_pkey", "instance", "slot"),
    ("mcp_instances_pkey", "instance", "id"),
    ("mcp_instances_token_taken", "instance", "access token"),
    ("mcp_instances_port_held", "instance", "port"),
];

/// What a foreign key whose name ends in `_exists` refers to.
fn foreign_noun(constraint: &str) -> Option<&'static str> {
    const NOUNS: &[(&str, &str)] = &[
        ("_user_exists", "user"),
        ("_registrar_exists", "user"),
        ("_organization_exists", "organisation"),
        ("_project_exists", "project"),
        ("_type_exists", "server type"),
        ("_credential_exists", "credential"),
        ("_instance_exists", "instance"),
        ("_node_exists", "node"),
        ("_key_exists", "API key"),
    ];
    NOUNS.iter().find(|(end, _)| constraint.ends_with(end)).map(|(_, noun)| *noun)
}

/// Names the statement that an error of the driver belongs to.
pub(crate) trait During<T> {
    fn during(self, statement: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, sqlx::Error> {
    fn during(self, statement: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| {
            let error = StoreError::new(statement, error);
            if error.is_unavailable() {
                UNAVAILABLE.fetch_add(1, Ordering::Relaxed);
            }
            error
        })
    }
}
