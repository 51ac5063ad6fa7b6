-- Instances that are started again by themselves when the machine was.

alter table mcp_instances add column autostart boolean not null default false;

-- Looked through at a start.
create index mcp_instances_autostart on mcp_instances (node_id) where autostart;
