-- Who owns things, and the keys that open the REST API.

create table organizations (
  id         uuid primary key,
  name       text not null,
  slug       text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint organizations_slug_taken unique (slug),
  constraint organizations_name_fits check (char_length(name) between 1 and 320)
);

create table projects (
  id              uuid primary key,
  organization_id uuid not null,
  name            text not null,
  slug            text not null,
  created_at      timestamptz not null,
  updated_at      timestamptz not null,
  constraint projects_organization_exists foreign key (organization_id) references organizations,
  constraint projects_slug_taken unique (organization_id, slug),
  -- Lets other tables refer to a project and its organisation together, so that the two always agree.
  constraint projects_with_organization unique (id, organization_id),
  constraint projects_name_fits check (char_length(name) between 1 and 320)
);

create table users (
  id                      uuid primary key,
  email                   text not null,
  name                    text not null,
  is_active               boolean not null default true,
  is_admin                boolean not null default false,
  default_organization_id uuid not null,
  default_project_id      uuid not null,
  created_at              timestamptz not null,
  updated_at              timestamptz not null,
  deleted_at              timestamptz,
  constraint users_default_project_exists
    foreign key (default_project_id, default_organization_id) references projects (id, organization_id),
  constraint users_email_fits check (char_length(email) between 3 and 320),
  constraint users_name_fits check (char_length(name) between 1 and 100)
);
create unique index users_email_taken on users (lower(email)) where deleted_at is null;
create index users_by_creation on users (created_at, id) where deleted_at is null;

create table api_keys (
  id            uuid primary key,
  user_id       uuid not null,
  name          text not null,
  prefix        text not null,
  key_hash      bytea not null,
  hint          text not null,
  scopes        text[] not null,
  is_active     boolean not null default true,
  expires_at    timestamptz,
  revoked_at    timestamptz,
  revoke_reason text,
  last_used_at  timestamptz,
  last_used_ip  inet,
  created_at    timestamptz not null,
  updated_at    timestamptz not null,
  constraint api_keys_user_exists foreign key (user_id) references users on delete cascade,
  constraint api_keys_hash_taken unique (key_hash),
  constraint api_keys_hash_is_sha256 check (octet_length(key_hash) = 32),
  constraint api_keys_name_fits check (char_length(name) between 1 and 100),
  constraint api_keys_hint_fits check (char_length(hint) <= 20),
  constraint api_keys_revoked_is_inactive check (is_active = (revoked_at is null)),
  constraint api_keys_reason_when_revoked check (revoke_reason is null or revoked_at is not null)
);
create index api_keys_of_user on api_keys (user_id, created_at);

create trigger organizations_updated before update on organizations
  for each row execute function set_updated_at();
create trigger projects_updated before update on projects
  for each row execute function set_updated_at();
create trigger users_updated before update on users
  for each row execute function set_updated_at();
-- Being used is no change of a key.
create trigger api_keys_updated
  before update of name, scopes, is_active, expires_at, revoked_at, revoke_reason on api_keys
  for each row execute function set_updated_at();
