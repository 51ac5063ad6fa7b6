drop function grant_application_role();
alter function grant_application_role_before_credentials() rename to grant_application_role;

drop table credential_events;
drop index credentials_ending;

drop trigger credentials_updated on credentials;
create trigger credentials_updated
  before update of name, hint, is_active, expires_at, deleted_at on credentials
  for each row execute function set_updated_at();

alter table credentials
  drop column version, drop column warned_of, drop column validation, drop column validated_at;
