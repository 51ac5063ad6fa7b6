-- Every change of these is written down, or not made: that a row is there, and what it says. What is only found out on the way (a use,
-- a sign-in, an era, a reminder, a run) is no change; a column that is new counts until it is named here.
do $$
declare one record; seen text[];
begin
  for one in select * from (values
    ('organizations', ''), ('org_members', ''), ('projects', ''), ('system_settings', ''),
    ('retention_policies', 'last_run_at'), ('users', 'last_login_at,last_login_ip'),
    ('api_keys', 'last_used_at,last_used_ip,last_used_agent,usage_count'), ('mcp_types', 'probed_era,probed_at'),
    ('credentials', 'last_used_at,warned_of,validation,validated_at')) as t (name, seen)
  loop
    seen := string_to_array(one.seen, ',') || '{updated_at}'::text[];
    execute format('create constraint trigger %I after insert or delete on %I deferrable initially deferred
      for each row execute function change_is_audited()', one.name || '_audited', one.name);
    execute format('create constraint trigger %I after update on %I deferrable initially deferred
      for each row when (to_jsonb(old) - %L::text[] is distinct from to_jsonb(new) - %L::text[]) execute function change_is_audited()',
      one.name || '_change_audited', one.name, seen, seen);
  end loop;
end $$;

-- The events of credentials are in the feed, too.
create function feed_of_credential() returns trigger language plpgsql as $$
begin
  insert into feed_unplaced (id, at, kind, event_type, owner_id, organization_id, subject, data)
  values (new.id, new.at, 'credential', new.event_type, (select user_id from credentials where id = new.credential_id),
          (select organization_id from credentials where id = new.credential_id), new.credential_id, new.event_data);
  return null;
end $$;
create trigger credential_events_feed after insert on credential_events for each row execute function feed_of_credential();

-- A setting, too, is not sealed with a key that was retired meanwhile.
create trigger system_settings_key before insert or update of sealed on system_settings
  for each row execute function refuse_retired_key();

-- What is the platform's is no caller's to see or change, whatever a statement says: the service does it for those who may.
alter function grant_caller_role() rename to grant_caller_role_before_audited;
create function grant_caller_role() returns boolean language plpgsql as $$
begin
  perform grant_caller_role_before_audited();
  revoke all on public.system_settings, public.setting_history, public.retention_policies, public.retention_runs, public.system_events
    from roadstead_caller;
  return true;
end $$;
revoke all on function grant_caller_role() from public;
select grant_caller_role();
