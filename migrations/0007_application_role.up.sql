-- What the application may do: read and write rows. Tables are made by their owner alone.

-- Called after every migration as well, because the role may be made later than the tables.
create function grant_application_role() returns boolean language plpgsql as $$
begin
  if not exists (select from pg_roles where rolname = 'roadstead_app') then
    return false;
  end if;
  grant usage on schema public to roadstead_app;
  grant select, insert, update, delete on
    public.organizations, public.projects, public.users, public.api_keys, public.mcp_types,
    public.credentials, public.credential_secrets, public.nodes, public.mcp_instances,
    public.instance_secrets, public.port_allocations, public.mcp_logs, public.mcp_events,
    public.system_settings, public.idempotency_keys, public.ring_check
    to roadstead_app;
  grant usage on sequence public.mcp_node_seq, public.mcp_log_position to roadstead_app;
  grant execute on function public.ensure_month_partitions(timestamptz, integer) to roadstead_app;
  -- It must know which migrations were applied, to refuse a schema that is not its own.
  grant select on public._sqlx_migrations to roadstead_app;
  return true;
end
$$;
revoke all on function grant_application_role() from public;

select grant_application_role();
