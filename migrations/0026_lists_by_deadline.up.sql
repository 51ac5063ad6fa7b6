-- no-transaction
create index concurrently mcp_instances_of_organization_by_expiry on mcp_instances (organization_id, expires_at, id) where deleted_at is null;
