set constraints all immediate;
drop index mcp_types_by_name;
create index mcp_types_of_project on mcp_types (project_id) where project_id is not null;
drop index mcp_types_name_taken_in_project;
drop index mcp_types_name_taken;
alter table mcp_types add constraint mcp_types_name_taken unique (name);
