drop function ensure_month_partitions(timestamptz, integer);
drop table mcp_events;
drop table mcp_logs;
drop sequence mcp_log_position;
drop sequence mcp_node_seq;
