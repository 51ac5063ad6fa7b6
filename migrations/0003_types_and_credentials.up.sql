-- What may be launched, and the secrets it is launched with.

create table mcp_types (
  id                   uuid primary key,
  name                 text not null,
  display_name         text not null,
  description          text not null default '',
  icon_url             text,
  program              text not null,
  spec                 jsonb not null,
  config_template      jsonb not null default '{}',
  required_scopes      jsonb not null default '[]',
  resource_limits      jsonb not null default '{"cpu": 0.5, "memory": "512m"}',
  max_duration_minutes integer not null default 60,
  era                  text not null default 'auto',
  version              integer not null default 1,
  is_active            boolean not null default true,
  registered_by        uuid,
  created_at           timestamptz not null,
  updated_at           timestamptz not null,
  constraint mcp_types_name_taken unique (name),
  constraint mcp_types_registrar_exists foreign key (registered_by) references users on delete set null,
  constraint mcp_types_name_fits check (char_length(name) between 1 and 50),
  constraint mcp_types_duration_fits check (max_duration_minutes between 1 and 43200),
  constraint mcp_types_era_known check (era in ('auto', 'legacy', 'modern', 'dual')),
  constraint mcp_types_version_counts check (version >= 1),
  constraint mcp_types_spec_is_object check (jsonb_typeof(spec) = 'object'),
  constraint mcp_types_template_is_object check (jsonb_typeof(config_template) = 'object'),
  constraint mcp_types_scopes_are_a_list check (jsonb_typeof(required_scopes) = 'array'),
  constraint mcp_types_limits_are_an_object check (jsonb_typeof(resource_limits) = 'object')
);

create table credentials (
  id              uuid primary key,
  user_id         uuid not null,
  organization_id uuid not null,
  project_id      uuid not null,
  mcp_type_id     uuid not null,
  name            text not null,
  hint            text not null,
  is_active       boolean not null default true,
  expires_at      timestamptz,
  last_used_at    timestamptz,
  created_at      timestamptz not null,
  updated_at      timestamptz not null,
  deleted_at      timestamptz,
  constraint credentials_user_exists foreign key (user_id) references users on delete cascade,
  constraint credentials_project_exists
    foreign key (project_id, organization_id) references projects (id, organization_id),
  constraint credentials_type_exists foreign key (mcp_type_id) references mcp_types on delete cascade,
  constraint credentials_name_fits check (char_length(name) between 1 and 100),
  constraint credentials_hint_fits check (char_length(hint) <= 20),
  constraint credentials_deleted_is_inactive check (deleted_at is null or not is_active)
);
create unique index credentials_name_taken on credentials (user_id, mcp_type_id, name) where deleted_at is null;
create index credentials_of_type on credentials (mcp_type_id) where deleted_at is null;

-- One sealed value per slot; the rows go when the credential is deleted.
create table credential_secrets (
  credential_id uuid not null,
  slot          text not null,
  sealed        bytea not null,
  hint          text not null,
  primary key (credential_id, slot),
  constraint credential_secrets_credential_exists
    foreign key (credential_id) references credentials on delete cascade,
  constraint credential_secrets_slot_fits check (char_length(slot) between 1 and 100),
  constraint credential_secrets_hint_fits check (char_length(hint) <= 20)
);

create trigger mcp_types_updated before update on mcp_types
  for each row execute function set_updated_at();
-- Being used is no change of a credential.
create trigger credentials_updated
  before update of name, hint, is_active, expires_at, deleted_at on credentials
  for each row execute function set_updated_at();
