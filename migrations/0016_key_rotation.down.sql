drop function grant_application_role();
alter function grant_application_role_before_rotation() rename to grant_application_role;

drop trigger idempotency_keys_key on idempotency_keys;
drop trigger instance_secrets_key on instance_secrets;
drop trigger credential_secrets_key on credential_secrets;
drop function refuse_retired_key();
drop index idempotency_keys_by_key;
drop index instance_secrets_by_key;
drop index credential_secrets_by_key;
drop table retired_keys;
drop table key_rotations;
