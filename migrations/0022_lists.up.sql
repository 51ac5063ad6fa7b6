-- What lists, quotas, bulk operations and exports ask for.
create index mcp_instances_of_organization on mcp_instances (organization_id, created_at, id) where deleted_at is null;
create index mcp_instances_live_of_organization on mcp_instances (organization_id) where status in ('pending', 'running');
create index mcp_instances_of_project on mcp_instances (project_id, created_at, id) where deleted_at is null;
create index mcp_instances_by_status on mcp_instances (status, created_at, id) where deleted_at is null;
create index mcp_instances_by_expiry on mcp_instances (expires_at, id) where deleted_at is null;
alter table mcp_instances add column version integer not null default 1, add column memory_mb integer, add column cpu_percent integer;
create index credentials_of_organization on credentials (organization_id, created_at, id) where deleted_at is null;
create index mcp_usage_of_organization on mcp_usage (organization_id, at, id);
create table exports (
  id uuid primary key, user_id uuid not null, organization_id uuid not null, kind text not null, format text not null,
  filter jsonb not null, token_hash bytea not null, created_at timestamptz not null, expires_at timestamptz not null,
  rows_told bigint, bytes_told bigint, downloaded_at timestamptz,
  constraint exports_user_exists foreign key (user_id) references users on delete cascade,
  constraint exports_token_taken unique (token_hash),
  constraint exports_kind_known check (kind in ('logs', 'audit', 'usage', 'account')),
  constraint exports_format_known check (format in ('json', 'csv', 'text'))
);
create index exports_ending on exports (expires_at);
