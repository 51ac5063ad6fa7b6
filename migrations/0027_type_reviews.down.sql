delete from system_settings where key in ('catalog.public_registry', 'catalog.require_approval', 'catalog.changed_tools');
drop function grant_application_role();
alter function grant_application_role_before_reviews() rename to grant_application_role;
select grant_application_role();
drop table mcp_tools;
drop table mcp_type_manifests;
drop table mcp_type_reviews;
set constraints all immediate;
alter table mcp_types drop column status, drop column status_reason, drop column bundled;
