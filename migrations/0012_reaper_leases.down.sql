drop function grant_application_role();
alter function grant_application_role_before_leases() rename to grant_application_role;

drop table reaper_leases;
