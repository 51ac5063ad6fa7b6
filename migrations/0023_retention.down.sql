drop function drop_month_partitions(text, timestamptz);
drop table retention_runs;
drop table retention_policies;
