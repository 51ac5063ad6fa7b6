-- Members and roles of organisations, and everything that is said about people and what they own.

-- The second lock: whoever acts for a caller takes this role for the transaction (see 0024).
do $$ begin
  if not exists (select from pg_roles where rolname = 'roadstead_caller') then
    create role roadstead_caller nologin;
  end if;
exception when insufficient_privilege then
  raise exception 'this role may not create roles; as an administrator: create role roadstead_caller nologin; grant roadstead_caller to the role of the service';
end $$;

alter table users
  add column avatar_url text, add column timezone text not null default 'UTC', add column locale text not null default 'en-US',
  add column status text not null default 'active', add column last_login_at timestamptz, add column last_login_ip inet,
  add column settings jsonb not null default '{}', add column metadata jsonb not null default '{}',
  add column version integer not null default 1, add column erase_after timestamptz,
  add column suspended_reason text,
  add constraint users_status_known check (status in ('active', 'suspended', 'invited')),
  add constraint users_status_is_active check (is_active = (status = 'active' and deleted_at is null)),
  add constraint users_settings_is_object check (jsonb_typeof(settings) = 'object'),
  add constraint users_metadata_is_object check (jsonb_typeof(metadata) = 'object'),
  add constraint users_avatar_fits check (char_length(avatar_url) <= 2048),
  add constraint users_erased_after_deletion check (erase_after is null or deleted_at is not null);
create index users_by_name on users using gin (to_tsvector('simple', name || ' ' || email)) where deleted_at is null;
create index users_to_erase on users (erase_after) where erase_after is not null;

alter table organizations
  add column billing_email text, add column support_email text,
  add column allowed_email_domains text[] not null default '{}',
  add column settings jsonb not null default '{"require_mcp_approval": true, "audit_retention_days": 90}',
  add column quotas jsonb not null default '{}', add column status text not null default 'active',
  add column personal_of uuid, add column version integer not null default 1, add column deleted_at timestamptz,
  add constraint organizations_personal_of_user foreign key (personal_of) references users on delete set null,
  add constraint organizations_status_known check (status in ('active', 'suspended', 'pending')),
  add constraint organizations_settings_is_object check (jsonb_typeof(settings) = 'object'),
  add constraint organizations_quotas_is_object check (jsonb_typeof(quotas) = 'object');
update organizations o set personal_of = u.id from users u where u.default_organization_id = o.id;
create unique index organizations_personal_once on organizations (personal_of) where personal_of is not null;

alter table projects
  add column description text not null default '',
  add column settings jsonb not null default '{}', add column quotas jsonb not null default '{"max_requests_per_minute": 100}',
  add column status text not null default 'active', add column version integer not null default 1,
  add column deleted_at timestamptz,
  add constraint projects_status_known check (status in ('active', 'paused', 'archived')),
  add constraint projects_settings_is_object check (jsonb_typeof(settings) = 'object'),
  add constraint projects_quotas_is_object check (jsonb_typeof(quotas) = 'object');
-- What was there before had no limit of its own.
update projects set quotas = '{}';

create table org_members (
  id uuid primary key, organization_id uuid not null, user_id uuid not null, role text not null,
  status text not null default 'active', invited_by uuid, invited_at timestamptz, accepted_at timestamptz,
  invite_hash bytea, invite_expires_at timestamptz,
  version integer not null default 1, created_at timestamptz not null, updated_at timestamptz not null,
  constraint org_members_organization_exists foreign key (organization_id) references organizations on delete cascade,
  constraint org_members_user_exists foreign key (user_id) references users on delete cascade,
  constraint org_members_inviter_exists foreign key (invited_by) references users on delete set null,
  constraint org_members_once unique (organization_id, user_id),
  constraint org_members_invite_taken unique (invite_hash),
  constraint org_members_role_known check (role in ('owner', 'admin', 'member', 'viewer')),
  constraint org_members_status_known check (status in ('active', 'invited', 'suspended')),
  constraint org_members_invited_has_hash check (status <> 'invited' or (invite_hash is not null and invite_expires_at is not null))
);
create index org_members_of_user on org_members (user_id);
insert into org_members (id, organization_id, user_id, role, accepted_at, created_at, updated_at)
  select uuid_v7(u.created_at), u.default_organization_id, u.id, 'owner', u.created_at, u.created_at, u.created_at from users u;

-- An organisation always has an owner who may act; checked at the end of the transaction.
create function organization_keeps_owner() returns trigger language plpgsql as $$
begin
  if exists (select from organizations where id = old.organization_id and deleted_at is null)
     and not exists (select from org_members where organization_id = old.organization_id and role = 'owner' and status = 'active') then
    raise exception 'an organisation needs an owner' using errcode = 'check_violation', constraint = 'organizations_keep_owner';
  end if;
  return null;
end $$;
create constraint trigger org_members_owner after update or delete on org_members
  deferrable initially deferred for each row execute function organization_keeps_owner();

create trigger org_members_updated before update on org_members for each row execute function set_updated_at();
-- Types for everybody, or for one project.
alter table mcp_types add column project_id uuid,
  add constraint mcp_types_project_exists foreign key (project_id) references projects;
create index mcp_types_of_project on mcp_types (project_id) where project_id is not null;
