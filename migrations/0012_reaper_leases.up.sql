-- Who reaps on a machine: one process at a time, until its lease runs out by the database's clock.

create table reaper_leases (
  node_id uuid primary key,
  holder  uuid not null,
  kind    text not null,
  pid     integer not null,
  since   timestamptz not null,
  until   timestamptz not null,
  constraint reaper_leases_node_exists foreign key (node_id) references nodes on delete cascade,
  constraint reaper_leases_kind_known check (kind in ('service', 'daemon')),
  constraint reaper_leases_process_fits check (pid > 0),
  constraint reaper_leases_until_after_since check (until >= since)
);

-- What was granted before, and the new table.
alter function grant_application_role() rename to grant_application_role_before_leases;
create function grant_application_role() returns boolean language plpgsql as $$
begin
  if not grant_application_role_before_leases() then
    return false;
  end if;
  grant select, insert, update, delete on public.reaper_leases to roadstead_app;
  return true;
end
$$;
revoke all on function grant_application_role() from public;

select grant_application_role();
