-- no-transaction
drop index concurrently mcp_instances_of_organization_by_expiry;
