-- What was decided about a server type, what its servers were found to offer, and what is thought of each of their tools.
alter table mcp_types
  add column status        text not null default 'approved',
  add column status_reason text not null default '',
  -- A type that came with us: the definition as it came. One that still has it was edited by nobody.
  add column bundled       jsonb;
-- What was disabled is so by its status from now on; the older column says the same until nobody reads it.
update mcp_types set status = 'deprecated' where not is_active;
-- A table whose rows have triggers to come cannot be altered.
set constraints all immediate;
alter table mcp_types
  add constraint mcp_types_status_known check (status in ('draft', 'pending', 'approved', 'rejected', 'deprecated')),
  add constraint mcp_types_active_is_approved check (is_active = (status = 'approved')),
  add constraint mcp_types_reason_fits check (char_length(status_reason) <= 1000);

create table mcp_type_reviews (
  id         uuid primary key,
  type_id    uuid not null,
  at         timestamptz not null,
  version    integer not null,
  status     text not null,
  reason     text not null default '',
  user_id    uuid,
  api_key_id uuid,
  constraint mcp_type_reviews_type_exists foreign key (type_id) references mcp_types on delete cascade,
  constraint mcp_type_reviews_status_known check (status in ('draft', 'pending', 'approved', 'rejected', 'deprecated'))
);
create index mcp_type_reviews_of_type on mcp_type_reviews (type_id, at desc, id desc);

create table mcp_type_manifests (
  type_id      uuid primary key,
  type_version integer not null,
  read_at      timestamptz not null,
  content      jsonb not null,
  tools_hash   text not null,
  findings     jsonb not null,
  -- What an approval took: names of tools and their hashes; null before there was one.
  accepted     jsonb,
  constraint mcp_type_manifests_type_exists foreign key (type_id) references mcp_types on delete cascade,
  constraint mcp_type_manifests_content_is_object check (jsonb_typeof(content) = 'object'),
  constraint mcp_type_manifests_findings_are_a_list check (jsonb_typeof(findings) = 'array'),
  constraint mcp_type_manifests_accepted_is_object check (jsonb_typeof(accepted) = 'object')
);

create table mcp_tools (
  type_id    uuid not null,
  name       text not null,
  risk_level text not null default 'low',
  notes      text not null default '',
  updated_at timestamptz not null,
  primary key (type_id, name),
  constraint mcp_tools_type_exists foreign key (type_id) references mcp_types on delete cascade,
  constraint mcp_tools_risk_known check (risk_level in ('low', 'medium', 'high', 'critical')),
  constraint mcp_tools_notes_fit check (char_length(notes) <= 1000)
);
create constraint trigger mcp_tools_audited after insert or delete or update on mcp_tools deferrable initially deferred
  for each row execute function change_is_audited();

alter function grant_application_role() rename to grant_application_role_before_reviews;
create function grant_application_role() returns boolean language plpgsql as $$
begin
  if not grant_application_role_before_reviews() then
    return false;
  end if;
  grant select, insert, update, delete on public.mcp_type_manifests, public.mcp_tools to roadstead_app;
  grant select, insert on public.mcp_type_reviews to roadstead_app;
  return true;
end $$;
revoke all on function grant_application_role() from public;
select grant_application_role();

insert into system_settings (key, value, default_value, kind, needs_restart, description) values
  ('catalog.public_registry', 'false', 'false', 'boolean', false, 'Whether the registry of types that are for everybody is shown without a key.'),
  ('catalog.require_approval', 'false', 'false', 'boolean', false, 'Whether a type that is made or imported waits for an approval, unless the request brings it.'),
  ('catalog.changed_tools', '"warn"', '"warn"', 'string', false, 'What becomes of a type whose tools are others than the approved ones: warn, or refuse, until it is approved again.');
