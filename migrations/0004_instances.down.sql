drop table port_allocations;
drop table instance_secrets;
drop table mcp_instances;
drop table nodes;
