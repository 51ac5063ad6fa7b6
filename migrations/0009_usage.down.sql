drop function grant_application_role();
alter function grant_application_role_before_usage() rename to grant_application_role;

drop table mcp_usage;

create or replace function ensure_month_partitions(first timestamptz, months integer) returns integer
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  start_of_month timestamp := date_trunc('month', first at time zone 'UTC');
  month          timestamp;
  parent         text;
  partition      text;
  made           integer := 0;
begin
  if months is null or months not between 1 and 24 then
    raise exception 'between 1 and 24 months can be prepared at once, not %', months
      using errcode = 'invalid_parameter_value';
  end if;
  for step in 0 .. months - 1 loop
    month := start_of_month + make_interval(months => step);
    foreach parent in array array['mcp_logs', 'mcp_events'] loop
      partition := parent || to_char(month, '_YYYY_MM');
      if to_regclass(format('public.%I', partition)) is null then
        -- Two callers at once: the second waits here, then finds the first one's table in the catalogue. (It would
        -- not by `to_regclass`, which may answer from what it remembers.)
        perform pg_advisory_xact_lock(hashtextextended('ensure_month_partitions', 0));
        if not exists (
          select from pg_class where relname = partition and relnamespace = 'public'::regnamespace
        ) then
          execute format(
            'create table public.%I partition of public.%I for values from (%L) to (%L)',
            partition, parent,
            month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
          made := made + 1;
        end if;
      end if;
    end loop;
  end loop;
  return made;
end
$$;
