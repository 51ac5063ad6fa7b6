drop table credential_secrets;
drop table credentials;
drop table mcp_types;
