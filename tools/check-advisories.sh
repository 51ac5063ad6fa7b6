#!/usr/bin/env bash
# Licences, bans and sources of what we depend on, and known vulnerabilities in it. The first needs no network; for the second
# there has to be a copy of the advisory database: the one that a tool can fetch, or the folder that ADVISORY_DB names.
# What could not be checked is said in one sentence. It fails only for what was found, unless it is told --strict.
set -euo pipefail
cd "$(dirname "$0")/.."

strict=no
[[ "${1:-}" == --strict ]] && strict=yes
unchecked=()

if command -v cargo-deny > /dev/null; then
    cargo deny --offline check licenses bans sources
else
    unchecked+=("licences, bans and sources, because cargo-deny is not installed (cargo install --locked cargo-deny)")
fi

# A clone of the database, made here or elsewhere; a copy that is fetched goes where the tools keep theirs.
database="${ADVISORY_DB:-${CARGO_HOME:-$HOME/.cargo}/advisory-db}"
url=https://github.com/RustSec/advisory-db
if [[ -z "${ADVISORY_DB:-}" ]]; then
    if [[ -d "$database/.git" ]]; then
        timeout 60 git -C "$database" pull --quiet --ff-only 2> /dev/null || echo "advisories: the database could not be brought up to date"
    else
        timeout 120 git clone --quiet --depth 1 "$url" "$database" 2> /dev/null || true
    fi
fi

if [[ ! -d "$database/crates" ]]; then
    unchecked+=("known vulnerabilities, because there is no advisory database (no network, and ADVISORY_DB names none)")
elif command -v cargo-audit > /dev/null; then
    echo "advisories: $(find "$database/crates" -name '*.md' | wc -l) in the database"
    cargo audit --no-fetch --stale --db "$database"
else
    unchecked+=("known vulnerabilities, because cargo-audit is not installed (cargo install --locked cargo-audit)")
fi

for what in "${unchecked[@]}"; do
    echo "NOT CHECKED: $what." >&2
done
if [[ ${#unchecked[@]} -gt 0 && "$strict" == yes ]]; then
    exit 1
fi
