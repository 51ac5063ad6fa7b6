-- How each instance is confined, which credential it holds, and which master key its control secret came from.

alter table mcp_instances
  add column confinement        jsonb,
  add column credential_version integer,
  add column control_key        bigint,
  add constraint mcp_instances_confinement_level check
    (confinement is null or confinement->>'level' in ('none', 'basic', 'strong', 'full')),
  add constraint mcp_instances_control_key_fits check (control_key between 0 and 4294967295);

insert into system_settings (key, value, description) values
  ('confinement.min',                '"none"',       'The confinement level below which nothing is launched: none, basic, strong or full.'),
  ('confinement.outbound_ports',     '[443, 80, 53]', 'TCP ports that servers may connect to, unless their type says otherwise.'),
  ('confinement.allowed_roots',      '[]',           'Folders of people below which a launch may name paths.'),
  ('credentials.remind_before_days', '7',            'Days before a credential expires at which its owner is reminded.');

alter table mcp_events drop constraint mcp_events_type_known;
alter table mcp_events add constraint mcp_events_type_known check (event_type in (
  'created', 'started', 'restored', 'renewed', 'extended', 'expiring', 'restarted', 'stopped', 'disconnected',
  'expired', 'deleted', 'error', 'reaped', 'adopted', 'token_rotated', 'token_revoked', 'credential_replaced',
  'credential_expiring', 'limit_reached'));
