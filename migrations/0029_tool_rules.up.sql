-- What instances hold to: tools that nobody sees or calls, and what clients were told of tools that nobody approved.
set constraints all immediate;
alter table mcp_tools add column enabled boolean not null default true;
alter table mcp_type_manifests
  add column differing jsonb,
  add constraint mcp_type_manifests_differing_is_object check (jsonb_typeof(differing) = 'object');
