alter table mcp_instances drop column idle_limit_s;

update mcp_types
set spec = spec - 'idle_limit_s' || jsonb_build_object('idle_timeout_s', spec -> 'idle_limit_s')
where spec ? 'idle_limit_s';

-- Nobody reads these any more, and a definition with unknown fields is refused.
update mcp_types set spec = spec - 'restart' - 'max_restarts' - 'restart_window_s';
