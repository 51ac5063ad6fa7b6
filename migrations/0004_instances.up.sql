-- What runs, where, and on which port.

create table nodes (
  id           uuid primary key,
  hostname     text not null,
  boot_id      uuid not null,
  last_seen_at timestamptz not null
);

create table mcp_instances (
  id                uuid primary key,
  user_id           uuid not null,
  organization_id   uuid not null,
  project_id        uuid not null,
  mcp_type_id       uuid not null,
  type_version      integer not null,
  credential_id     uuid,
  node_id           uuid not null,
  boot_id           uuid not null,
  name              text not null,
  status            text not null,
  config            jsonb not null default '{}',
  access_token_hash bytea not null,
  token_hint        text not null,
  assigned_port     integer,
  process_id        integer,
  process_started   bigint,
  shim_pid          integer,
  shim_started      bigint,
  expires_at        timestamptz not null,
  started_at        timestamptz,
  stopping_at       timestamptz,
  stop_reason       text,
  ended_at          timestamptz,
  error_message     text,
  exit              jsonb,
  last_accessed     timestamptz,
  stats             jsonb,
  generation        bigint not null default 1,
  fence             bigint not null default 0,
  spool_seq         bigint not null default 0,
  created_at        timestamptz not null,
  updated_at        timestamptz not null,
  deleted_at        timestamptz,

  constraint mcp_instances_user_exists foreign key (user_id) references users on delete cascade,
  constraint mcp_instances_project_exists
    foreign key (project_id, organization_id) references projects (id, organization_id),
  constraint mcp_instances_type_exists foreign key (mcp_type_id) references mcp_types,
  constraint mcp_instances_credential_exists foreign key (credential_id) references credentials,
  constraint mcp_instances_node_exists foreign key (node_id) references nodes,
  constraint mcp_instances_token_taken unique (access_token_hash),

  constraint mcp_instances_status_known
    check (status in ('pending', 'running', 'expired', 'disconnected', 'stopped', 'error')),
  -- Live means: holds a port, has not ended, is not deleted.
  constraint mcp_instances_live_has_port
    check ((status in ('pending', 'running')) = (assigned_port is not null)),
  constraint mcp_instances_ended_has_time
    check ((status in ('pending', 'running')) = (ended_at is null)),
  constraint mcp_instances_deleted_has_ended check (deleted_at is null or ended_at is not null),
  constraint mcp_instances_running_has_process
    check (status <> 'running' or (process_id is not null and started_at is not null)),
  constraint mcp_instances_pending_has_not_started
    check (status <> 'pending' or (process_id is null and started_at is null)),
  constraint mcp_instances_process_with_start check ((process_id is null) = (process_started is null)),
  constraint mcp_instances_shim_with_start check ((shim_pid is null) = (shim_started is null)),
  constraint mcp_instances_stopping_is_running check (stopping_at is null or status = 'running'),
  constraint mcp_instances_stopping_has_reason check (stopping_at is null or stop_reason is not null),
  constraint mcp_instances_error_has_message check (status <> 'error' or error_message is not null),
  constraint mcp_instances_exit_after_end check (exit is null or ended_at is not null),

  constraint mcp_instances_port_fits check (assigned_port between 1024 and 65535),
  constraint mcp_instances_process_fits check (process_id > 0 and process_started >= 0),
  constraint mcp_instances_shim_fits check (shim_pid > 0 and shim_started >= 0),
  constraint mcp_instances_name_fits check (char_length(name) between 1 and 100),
  constraint mcp_instances_hash_is_sha256 check (octet_length(access_token_hash) = 32),
  constraint mcp_instances_hint_fits check (char_length(token_hint) <= 20),
  constraint mcp_instances_config_is_object check (jsonb_typeof(config) = 'object'),
  constraint mcp_instances_expires_after_creation check (expires_at > created_at),
  constraint mcp_instances_counts check (generation >= 1 and fence >= 0 and spool_seq >= 0 and type_version >= 1)
);

-- The lease, a second time: one live row per port of a node.
create unique index mcp_instances_port_held on mcp_instances (node_id, assigned_port)
  where assigned_port is not null;
create index mcp_instances_live_of_user on mcp_instances (user_id)
  where status in ('pending', 'running');
create index mcp_instances_due on mcp_instances (node_id, expires_at)
  where status in ('pending', 'running');
create index mcp_instances_of_user on mcp_instances (user_id, created_at, id) where deleted_at is null;
create index mcp_instances_by_creation on mcp_instances (created_at, id) where deleted_at is null;
create index mcp_instances_of_type on mcp_instances (mcp_type_id, created_at) where deleted_at is null;
create index mcp_instances_of_credential on mcp_instances (credential_id) where credential_id is not null;

-- Secrets that were given with a launch and are kept by no credential; they go when the instance is deleted.
create table instance_secrets (
  instance_id uuid not null,
  slot        text not null,
  sealed      bytea not null,
  primary key (instance_id, slot),
  constraint instance_secrets_instance_exists
    foreign key (instance_id) references mcp_instances on delete cascade,
  constraint instance_secrets_slot_fits check (char_length(slot) between 1 and 100)
);

create table port_allocations (
  node_id           uuid not null,
  port              integer not null,
  mcp_instance_id   uuid,
  allocated_at      timestamptz,
  released_at       timestamptz,
  is_available      boolean not null default true,
  last_health_check timestamptz,
  quarantined_until timestamptz,
  primary key (node_id, port),
  constraint port_allocations_node_exists foreign key (node_id) references nodes,
  constraint port_allocations_instance_exists foreign key (mcp_instance_id) references mcp_instances,
  constraint port_allocations_port_fits check (port between 1024 and 65535),
  constraint port_allocations_held_by_instance check (is_available = (mcp_instance_id is null)),
  constraint port_allocations_held_since check (is_available or allocated_at is not null)
);
create unique index port_allocations_of_instance on port_allocations (mcp_instance_id)
  where mcp_instance_id is not null;

-- Being used, and a report of figures, are no changes of an instance.
create trigger mcp_instances_updated
  before update of name, status, config, access_token_hash, expires_at, stopping_at, error_message,
    credential_id, node_id, assigned_port, process_id, generation, deleted_at on mcp_instances
  for each row execute function set_updated_at();
