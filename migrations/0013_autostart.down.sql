drop index mcp_instances_autostart;
alter table mcp_instances drop column autostart;
