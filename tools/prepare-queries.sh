#!/bin/sh
# Writes .sqlx anew: what each statement of crates/store takes and gives, as a database with every migration says.
#
#   tools/prepare-queries.sh           after a change of a statement or a migration
#   tools/prepare-queries.sh --check   fails when .sqlx is not what it would write
#
# PREPARE_PROFILE=dev uses what a development build has compiled already.
#
# Needs initdb, postgres and psql, from PATH or /usr/lib/postgresql. The database is thrown away.
set -eu
cd "$(dirname "$0")/.."

check=no
case "${1:-}" in
  --check) check=yes ;;
  '') ;;
  *) echo "usage: $0 [--check]" >&2; exit 64 ;;
esac

for folder in /usr/lib/postgresql/*/bin; do PATH=$PATH:$folder; done
for program in initdb postgres psql; do
  command -v "$program" >/dev/null || { echo "$0: $program is not installed" >&2; exit 1; }
done

work=$(mktemp -d "${TMPDIR:-/tmp}/roadstead-queries-XXXXXX")
server=
finish() {
  if [ -n "$server" ]; then kill -QUIT "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# PostgreSQL refuses to run as root.
unprivileged=
if [ "$(id -u)" = 0 ]; then
  user=nobody
  if id postgres >/dev/null 2>&1; then user=postgres; fi
  chown "$user" "$work"
  unprivileged="setpriv --reuid=$user --regid=$(id -g "$user") --clear-groups"
fi

mkdir "$work/queries"
chmod 711 "$work"
# Unquoted on purpose: several words, or none.
$unprivileged initdb -D "$work/data" -U owner -A trust -E UTF8 --locale=C --no-sync >"$work/queries.log" 2>&1 ||
  { cat "$work/queries.log" >&2; exit 1; }
(cd / && exec $unprivileged postgres -D "$work/data" -k "$work" -c listen_addresses= -c fsync=off) \
  >>"$work/queries.log" 2>&1 &
server=$!
tries=0
until psql -h "$work" -U owner -d postgres -Atqc 'select 1' >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -gt 600 ]; then cat "$work/queries.log" >&2; exit 1; fi
  sleep 0.1
done

for migration in migrations/*.up.sql; do
  whole=-1
  if head -1 "$migration" | grep -q '^-- no-transaction'; then whole=; fi
  # Unquoted on purpose: a word, or none.
  psql -h "$work" -U owner -d postgres -v ON_ERROR_STOP=1 $whole -q -f "$migration" >/dev/null
done

# The macros run only when the crate is compiled: make cargo compile it, and forget what it learnt from the database.
touch crates/store/src/lib.rs
host=$(printf %s "$work" | sed 's,/,%2F,g')
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$work/queries" DATABASE_URL="postgres://owner@$host/postgres" \
  cargo check --profile "${PREPARE_PROFILE:-release}" --quiet -p roadstead-store
touch crates/store/src/lib.rs

if [ "$check" = yes ]; then
  diff -r "$work/queries" .sqlx || { echo "$0: .sqlx is stale; run tools/prepare-queries.sh" >&2; exit 1; }
  echo ".sqlx is up to date: $(ls .sqlx | wc -l) statements"
else
  mkdir -p .sqlx
  rm -f .sqlx/query-*.json
  cp "$work"/queries/query-*.json .sqlx/
  echo "wrote .sqlx: $(ls .sqlx | wc -l) statements"
fi
