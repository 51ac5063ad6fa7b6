delete from system_settings where key = 'packages.keep_unused_days';
alter table mcp_instances drop column packages;
