drop function uuid_v7(timestamptz);
drop function set_updated_at();
