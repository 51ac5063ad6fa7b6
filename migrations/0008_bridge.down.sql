delete from system_settings where key like 'bridge.%';

drop trigger mcp_types_updated on mcp_types;
create trigger mcp_types_updated before update on mcp_types
  for each row execute function set_updated_at();

alter table mcp_types drop column probed_era, drop column probed_at;

-- Without the columns above nobody reads an address: such a type launches nothing any more.
update mcp_types set program = '' where program is null;
alter table mcp_types alter column program set not null;
