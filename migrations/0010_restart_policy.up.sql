-- Restarts and the idle limit: the field of a type gets its documented name, and an instance may have a limit of its own.

update mcp_types
set spec = spec - 'idle_timeout_s' || jsonb_build_object('idle_limit_s', spec -> 'idle_timeout_s')
where spec ? 'idle_timeout_s';

-- What the launch asked for; the type's own limit is not repeated here.
alter table mcp_instances
  add column idle_limit_s integer,
  add constraint mcp_instances_idle_limit_fits check (idle_limit_s between 1 and 2592000);
