#!/usr/bin/env bash
# Builds versions of the demo app on the locally built base image and pushes them: push-ledger.sh REGISTRY VERSION…
set -euo pipefail
cd "$(dirname "$0")/.."
registry=$1
shift
for version; do
    docker build -q -t "$registry/ledger:$version" --build-arg "BASE_IMAGE=quayside/base:${LEDGER_BASE:-bookworm}" \
        --build-arg "VERSION=$version" examples/ledger
    docker push -q "$registry/ledger:$version"
done
