# Shortcuts; nothing depends on them.

# What CI runs.
check:
    bash .ci/run

# Start everything and show the main job.
quickstart:
    cargo build --release && target/release/roadstead quickstart

# All tests.
test:
    cargo test --release --workspace

# Ratios against raw pipes and a server's own HTTP.
bench:
    cargo build --release --workspace && cargo run --release -p roadstead-benches -- all

# Lists, searches and the audit log over large tables; needs psql.
bench-data:
    cargo build --release --workspace && cargo run --release -p roadstead-benches -- data
    cargo run --release -p roadstead-benches -- audit

# Ratios beside bridges written by others; installs them first, from their locks.
bench-peers:
    tools/install-bench-peers.sh
    cargo build --release --workspace && cargo run --release -p roadstead-benches -- peers

# Servers and clients written by others, each with each; writes docs/compatibility.md. Needs the network, and patience.
compatibility *args:
    cargo build --release --workspace && cargo run --release -p roadstead-matrix -- {{args}}

# Hold the API to its own description for longer than the tests do. Needs the network once.
fuzz-api seconds="900":
    cargo build --release --workspace && ROADSTEAD_FUZZ_SECONDS={{seconds}} cargo test --release --workspace --test schemathesis -- --nocapture

# Regenerate the checked queries after a change of SQL.
queries:
    tools/prepare-queries.sh

# Write the table of attempts in docs/security.md anew; needs root.
attempts:
    cargo build --release --workspace && ROADSTEAD_WRITE_ATTEMPTS=1 cargo test --release --workspace --test confinement a_hostile

# Ten servers of public registries, each by one command, and the table of them in docs/packages.md. Needs the network.
public-servers:
    cargo build --release --workspace && ROADSTEAD_WRITE_PUBLIC_SERVERS=1 cargo test --release --workspace --test public_servers ten -- --ignored --nocapture

# Before a release: licences and advisories; needs cargo-deny, cargo-audit and the network.
release-check:
    tools/check-advisories.sh --strict
