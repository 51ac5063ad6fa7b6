drop table exports;
drop index mcp_usage_of_organization; drop index credentials_of_organization;
alter table mcp_instances drop column version, drop column memory_mb, drop column cpu_percent;
drop index mcp_instances_by_expiry; drop index mcp_instances_by_status; drop index mcp_instances_of_project; drop index mcp_instances_live_of_organization; drop index mcp_instances_of_organization;
