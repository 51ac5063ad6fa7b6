-- Rotation of the master key: the run that is under way, those before it, and the keys that may never seal again.

create table key_rotations (
  id          uuid primary key,
  -- The id of the key that all values are sealed with when it is finished.
  to_key      bigint not null,
  started_at  timestamptz not null,
  finished_at timestamptz,
  -- Values that were sealed with another key when it began; what is deleted meanwhile is never done.
  total       bigint not null,
  done        bigint not null default 0,
  failed      bigint not null default 0,
  failures    jsonb not null default '[]',
  constraint key_rotations_key_fits check (to_key between 0 and 4294967295),
  constraint key_rotations_counts_fit check (total >= 0 and done >= 0 and failed >= 0),
  constraint key_rotations_finished_after_start check (finished_at >= started_at),
  constraint key_rotations_finished_without_failure check (finished_at is null or failed = 0)
);
create unique index key_rotations_one_at_a_time on key_rotations ((true)) where finished_at is null;
create index key_rotations_by_start on key_rotations (started_at);

create table retired_keys (
  key        bigint primary key,
  retired_at timestamptz not null,
  constraint retired_keys_key_fits check (key between 0 and 4294967295)
);

-- Bytes 2 to 5 of a sealed value are the id of its key.
create index credential_secrets_by_key on credential_secrets (substring(sealed from 2 for 4));
create index instance_secrets_by_key on instance_secrets (substring(sealed from 2 for 4));
create index idempotency_keys_by_key on idempotency_keys (substring(sealed_answer from 2 for 4))
  where sealed_answer is not null;

-- A request that was slow to write must not leave a value behind that nothing opens any more.
create function refuse_retired_key() returns trigger language plpgsql as $$
declare
  value bytea;
begin
  if tg_table_name = 'idempotency_keys' then
    value := new.sealed_answer;
  else
    value := new.sealed;
  end if;
  if exists (select from public.retired_keys where substring(int8send(key) from 5) = substring(value from 2 for 4)) then
    raise exception 'the value is sealed with a retired key'
      using errcode = 'check_violation', constraint = 'sealed_with_a_key_in_use';
  end if;
  return new;
end
$$;
create trigger credential_secrets_key before insert or update of sealed on credential_secrets
  for each row execute function refuse_retired_key();
create trigger instance_secrets_key before insert or update of sealed on instance_secrets
  for each row execute function refuse_retired_key();
create trigger idempotency_keys_key before insert or update of sealed_answer on idempotency_keys
  for each row execute function refuse_retired_key();

-- What was granted before, and the new tables.
alter function grant_application_role() rename to grant_application_role_before_rotation;
create function grant_application_role() returns boolean language plpgsql as $$
begin
  if not grant_application_role_before_rotation() then
    return false;
  end if;
  grant select, insert, update, delete on public.key_rotations, public.retired_keys to roadstead_app;
  return true;
end
$$;
revoke all on function grant_application_role() from public;

select grant_application_role();
