do $$ declare one record; begin
  for one in select schemaname, tablename, policyname from pg_policies where schemaname = 'public' loop
    execute format('drop policy %I on %I', one.policyname, one.tablename);
  end loop;
  for one in select relname from pg_class where relnamespace = 'public'::regnamespace and relrowsecurity loop
    execute format('alter table %I disable row level security', one.relname);
  end loop;
end $$;
revoke all on all tables in schema public from roadstead_caller;
revoke all on all sequences in schema public from roadstead_caller;
revoke usage on schema public from roadstead_caller;
drop function grant_application_role();
alter function grant_application_role_before_accounts() rename to grant_application_role;
drop function grant_caller_role();
drop function lock_all_rows();
drop function lock_rows(regclass, name);
drop function caller_user();
drop function caller_organization();
drop function caller_reach();
