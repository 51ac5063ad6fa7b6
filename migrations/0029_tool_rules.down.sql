set constraints all immediate;
alter table mcp_type_manifests drop column differing;
alter table mcp_tools drop column enabled;
