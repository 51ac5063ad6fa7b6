-- A type of a project has a name there: what one project calls its types is nothing to another, and to nobody else.
set constraints all immediate;
alter table mcp_types drop constraint mcp_types_name_taken;
create unique index mcp_types_name_taken on mcp_types (name) where project_id is null;
create unique index mcp_types_name_taken_in_project on mcp_types (project_id, name) where project_id is not null;
drop index mcp_types_of_project;
create index mcp_types_by_name on mcp_types (name, id);
