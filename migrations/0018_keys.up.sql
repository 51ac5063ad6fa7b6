-- Keys that belong to a project, that end up somewhere, and that may be counted.
alter table api_keys
  add column organization_id uuid, add column project_id uuid, add column created_by uuid, add column revoked_by uuid,
  add column allowed_ips cidr[] not null default '{}',
  add column requests_per_minute integer, add column daily_limit bigint, add column monthly_limit bigint,
  add column usage_count bigint not null default 0, add column last_used_agent text,
  add column rotated_from uuid, add column grace_until timestamptz, add column version integer not null default 1;
update api_keys k set organization_id = u.default_organization_id, project_id = u.default_project_id, created_by = u.id
  from users u where u.id = k.user_id;
alter table api_keys
  alter column organization_id set not null, alter column project_id set not null,
  add constraint api_keys_project_exists foreign key (project_id, organization_id) references projects (id, organization_id),
  add constraint api_keys_creator_exists foreign key (created_by) references users on delete set null,
  add constraint api_keys_revoker_exists foreign key (revoked_by) references users on delete set null,
  add constraint api_keys_rotated_from_key_exists foreign key (rotated_from) references api_keys on delete set null,
  add constraint api_keys_limits_fit check (requests_per_minute between 1 and 1000000 and daily_limit >= 1 and monthly_limit >= 1),
  add constraint api_keys_addresses_fit check (cardinality(allowed_ips) <= 100);
create index api_keys_of_organization on api_keys (organization_id, created_at, id);
drop trigger api_keys_updated on api_keys;
create trigger api_keys_updated before update of name, scopes, is_active, expires_at, revoked_at, revoke_reason, allowed_ips,
  requests_per_minute, daily_limit, monthly_limit, grace_until on api_keys for each row execute function set_updated_at();

-- A day of a key. Many facts are folded into one row; the distinct operations are a set of bits, one an operation.
create table api_key_usage (
  api_key_id uuid not null, day date not null, requests bigint not null default 0, errors bigint not null default 0,
  refused bigint not null default 0, duration_us bigint not null default 0, operations varbit not null default B'',
  primary key (api_key_id, day),
  constraint api_key_usage_key_exists foreign key (api_key_id) references api_keys on delete cascade,
  constraint api_key_usage_counts_fit check (requests >= 0 and errors >= 0 and refused >= 0 and duration_us >= 0)
);
create table api_key_usage_log (
  id uuid not null, api_key_id uuid not null, at timestamptz not null, user_id uuid not null, organization_id uuid not null,
  operation text not null, status integer not null, duration_us bigint not null, request_bytes bigint not null default 0,
  answer_bytes bigint not null default 0, ip_address inet, request_id text,
  constraint api_key_usage_log_once primary key (at, id),
  constraint api_key_usage_log_status_fits check (status between 100 and 599)
) partition by range (at);
create index api_key_usage_log_of_key on api_key_usage_log (api_key_id, at, id);

create view active_api_keys with (security_barrier) as
  select k.id, k.user_id, k.organization_id, k.project_id, k.name, k.prefix, k.hint, k.scopes, k.expires_at, k.last_used_at, k.last_used_ip,
         k.usage_count, coalesce(sum(d.requests), 0)::bigint as requests, coalesce(sum(d.errors), 0)::bigint as errors,
         case when coalesce(sum(d.requests), 0) = 0 then null else sum(d.duration_us)::bigint / sum(d.requests)::bigint end as mean_us
  from api_keys k left join api_key_usage d on d.api_key_id = k.id
  where k.is_active and (k.expires_at is null or k.expires_at > now()) group by k.id;
select ensure_month_partitions(now(), 3);
-- What a key could do it still can, and the keys that could do everything can do what is new.
update api_keys set scopes = scopes || '{usage:read}' where 'instances:read' = any (scopes) and not 'usage:read' = any (scopes);
update api_keys set scopes = (select array_agg(distinct scope order by scope) from unnest(scopes || '{
    organizations:read,organizations:write,projects:read,projects:write,usage:read,audit:read,events:read,users:act,database:admin}') as scope)
  where scopes @> '{instances:read,instances:launch,instances:write,types:read,types:write,credentials:read,credentials:write,users:read,
    users:write,api-keys:read,api-keys:write,settings:read,settings:write}';
