do $$
begin
  if exists (select from pg_roles where rolname = 'roadstead_app') then
    revoke all on public._sqlx_migrations from roadstead_app;
    revoke all on function public.ensure_month_partitions(timestamptz, integer) from roadstead_app;
    revoke all on sequence public.mcp_node_seq, public.mcp_log_position from roadstead_app;
    revoke all on
      public.organizations, public.projects, public.users, public.api_keys, public.mcp_types,
      public.credentials, public.credential_secrets, public.nodes, public.mcp_instances,
      public.instance_secrets, public.port_allocations, public.mcp_logs, public.mcp_events,
      public.system_settings, public.idempotency_keys, public.ring_check
      from roadstead_app;
    revoke usage on schema public from roadstead_app;
  end if;
end
$$;
drop function grant_application_role();
