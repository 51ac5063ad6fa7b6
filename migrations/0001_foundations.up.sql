-- Helpers that every table uses.

-- Keeps `updated_at` truthful whoever writes; the only time that a row takes from the database's own clock.
create function set_updated_at() returns trigger language plpgsql as $$
begin
  new.updated_at := now();
  return new;
end
$$;

-- A UUIDv7 for a moment: rows that are written in batches get their ids here, sorted by their own time.
-- A version 4 UUID gives the random part; its first 48 bits become the milliseconds, its version becomes 7.
create function uuid_v7(at timestamptz) returns uuid language sql volatile as $$
  select encode(
    set_bit(
      set_bit(
        overlay(
          uuid_send(gen_random_uuid())
          placing substring(int8send(floor(extract(epoch from at) * 1000)::bigint) from 3)
          from 1 for 6),
        52, 1),
      53, 1),
    'hex')::uuid
$$;
