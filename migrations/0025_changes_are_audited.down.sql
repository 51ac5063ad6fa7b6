drop function grant_caller_role();
alter function grant_caller_role_before_audited() rename to grant_caller_role;
select grant_caller_role();
drop trigger system_settings_key on system_settings;
drop trigger credential_events_feed on credential_events;
drop function feed_of_credential();
do $$ declare one text; begin
  foreach one in array array['organizations','org_members','projects','retention_policies','system_settings','users','api_keys','mcp_types','credentials'] loop
    execute format('drop trigger %I on %I', one || '_audited', one);
    execute format('drop trigger %I on %I', one || '_change_audited', one);
  end loop;
end $$;
