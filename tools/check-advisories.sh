#!/usr/bin/env bash
# Licences, bans and sources of what we depend on, and known vulnerabilities in it. The first needs no network; for the second
# there has to be a copy of the advisory database: the one that cargo-deny or cargo-audit keeps, or the folder that ADVISORY_DB
# names for cargo-audit. What could not be checked is said in one sentence. It fails only for what was found, unless it is told
# --strict, as before a release: then the databases are fetched, and nothing may be left unchecked.
set -euo pipefail
cd "$(dirname "$0")/.."

strict=no
offline=(--offline)
if [[ "${1:-}" == --strict ]]; then
    strict=yes
    offline=()
fi
unchecked=()

if command -v cargo-deny > /dev/null; then
    cargo deny --log-level error "${offline[@]}" check licenses bans sources
    if [[ "$strict" == yes ]] || compgen -G "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs/*" > /dev/null; then
        cargo deny --log-level error "${offline[@]}" check advisories
    else
        unchecked+=("known vulnerabilities by cargo-deny, because no copy of the advisory database was ever fetched (cargo deny fetch)")
    fi
else
    unchecked+=("licences, bans, sources and vulnerabilities, because cargo-deny is not installed (cargo install --locked cargo-deny)")
fi

database="${ADVISORY_DB:-${CARGO_HOME:-$HOME/.cargo}/advisory-db}"
if ! command -v cargo-audit > /dev/null; then
    unchecked+=("known vulnerabilities by cargo-audit, because it is not installed (cargo install --locked cargo-audit)")
elif [[ "$strict" == yes && -z "${ADVISORY_DB:-}" ]]; then
    cargo audit
elif [[ -d "$database/crates" ]]; then
    cargo audit --no-fetch --stale --db "$database"
else
    unchecked+=("known vulnerabilities by cargo-audit, because there is no advisory database (cargo audit fetch, or ADVISORY_DB)")
fi

for what in "${unchecked[@]}"; do
    echo "NOT CHECKED: $what." >&2
done
if [[ ${#unchecked[@]} -gt 0 && "$strict" == yes ]]; then
    exit 1
fi
