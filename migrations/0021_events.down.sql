drop trigger mcp_events_owner on mcp_events; drop function event_owner();
drop trigger mcp_events_feed on mcp_events; drop function feed_of_instance();
drop table system_events; drop function feed_of_system();
drop table feed; drop sequence feed_position; drop table feed_unplaced;
drop index mcp_logs_of_owner; drop index mcp_logs_of_organization;
alter table mcp_events drop column owner_id, drop column organization_id;
alter table mcp_logs drop column owner_id, drop column organization_id;
