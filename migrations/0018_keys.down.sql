drop view active_api_keys; drop table api_key_usage_log; drop table api_key_usage;
drop index api_keys_of_organization;
drop trigger api_keys_updated on api_keys;
create trigger api_keys_updated before update of name, scopes, is_active, expires_at, revoked_at, revoke_reason on api_keys for each row execute function set_updated_at();
alter table api_keys drop column organization_id, drop column project_id, drop column created_by, drop column revoked_by, drop column allowed_ips,
  drop column requests_per_minute, drop column daily_limit, drop column monthly_limit, drop column usage_count, drop column last_used_agent,
  drop column rotated_from, drop column grace_until, drop column version;
update api_keys set scopes = array(select scope from unnest(scopes) as scope where scope <> all ('{
  organizations:read,organizations:write,projects:read,projects:write,usage:read,audit:read,events:read,users:act,database:admin}'));
