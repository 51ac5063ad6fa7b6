alter table mcp_types drop column project_id;
drop table org_members; drop function organization_keeps_owner();
alter table projects drop column description, drop column settings, drop column quotas, drop column status, drop column version, drop column deleted_at;
alter table organizations drop column billing_email, drop column support_email, drop column allowed_email_domains, drop column settings, drop column quotas,
  drop column status, drop column personal_of, drop column version, drop column deleted_at;
drop index users_by_name; drop index users_to_erase;
alter table users drop column avatar_url, drop column timezone, drop column locale, drop column status, drop column last_login_at, drop column last_login_ip,
  drop column settings, drop column metadata, drop column version, drop column erase_after, drop column suspended_reason;
-- The role stays: other databases of the cluster may use it.
