-- Credentials that are replaced, that say ahead when they end, and that can be tried out.

alter table credentials
  add column version      integer not null default 1,
  add column warned_of    timestamptz,
  add column validation   text,
  add column validated_at timestamptz,
  add constraint credentials_version_counts check (version >= 1),
  add constraint credentials_validation_known check (validation in ('valid', 'invalid', 'unknown')),
  add constraint credentials_validation_with_time check ((validation is null) = (validated_at is null));

-- Being used, or tried out, is no change of a credential.
drop trigger credentials_updated on credentials;
create trigger credentials_updated
  before update of name, hint, is_active, expires_at, version, deleted_at on credentials
  for each row execute function set_updated_at();

-- Whose end is near.
create index credentials_ending on credentials (expires_at)
  where deleted_at is null and expires_at is not null;

-- What happened to a credential; it need not be held by an instance.
create table credential_events (
  id            uuid primary key,
  credential_id uuid not null,
  at            timestamptz not null,
  event_type    text not null,
  event_data    jsonb not null default '{}',
  user_id       uuid,
  api_key_id    uuid,
  created_at    timestamptz not null default now(),
  constraint credential_events_credential_exists
    foreign key (credential_id) references credentials on delete cascade,
  constraint credential_events_user_exists foreign key (user_id) references users on delete set null,
  constraint credential_events_key_exists foreign key (api_key_id) references api_keys on delete set null,
  constraint credential_events_type_known
    check (event_type in ('created', 'changed', 'replaced', 'expiring', 'validated', 'deleted')),
  constraint credential_events_data_is_object check (jsonb_typeof(event_data) = 'object')
);
create index credential_events_of_credential on credential_events (credential_id, at desc, id desc);

-- What was granted before, and the new table.
alter function grant_application_role() rename to grant_application_role_before_credentials;
create function grant_application_role() returns boolean language plpgsql as $$
begin
  if not grant_application_role_before_credentials() then
    return false;
  end if;
  grant select, insert, update, delete on public.credential_events to roadstead_app;
  return true;
end
$$;
revoke all on function grant_application_role() from public;

select grant_application_role();
