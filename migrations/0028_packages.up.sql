-- Which installed packages a running instance needs: names of their folders in the store. Null where a service before this one
-- launched it; the service fills that in.
alter table mcp_instances add column packages text[];
insert into system_settings (key, value, default_value, kind, needs_restart, description) values
  ('packages.keep_unused_days', '7', '7', 'integer', false, 'Days that an installed package stays which nothing needs any more.');
