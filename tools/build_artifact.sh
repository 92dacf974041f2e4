#!/usr/bin/env bash
# Build the collection as a user would and install it below .cache/ansible_collections, where ansible-test accepts it.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${VENV:-.cache/venv}
root=$PWD/.cache/ansible_collections/quayside/web

mkdir -p .cache
# Whoever uses the artifact holds this lock, so that a second run does not pull it from under the first.
if [ -z "${ARTIFACT_LOCKED:-}" ]; then
  exec 9>.cache/artifact.lock
  flock 9
fi
rm -rf .cache/dist "$root"
mkdir .cache/dist
"$venv/bin/ansible-galaxy" collection build --output-path .cache/dist . >/dev/null
# `-p .cache` and not the installed tree's own path: ansible-galaxy appends ansible_collections/quayside/web itself.
ANSIBLE_COLLECTIONS_PATH=.cache "$venv/bin/ansible-galaxy" collection install \
  --offline --no-deps --force -p .cache .cache/dist/quayside-web-*.tar.gz >/dev/null

# Nothing may reach users that git would not keep: caches, virtual environments, other people's collections.
if [ -e .git ]; then
  stray=$(comm -13 <(git ls-files --cached --others --exclude-standard | sort) \
    <(cd "$root" && find . -type f -printf '%P\n' | sort) | grep -vxE 'MANIFEST\.json|FILES\.json' || true)
  if [ -n "$stray" ]; then
    printf 'The artifact holds files that git ignores; add them to build_ignore in galaxy.yml:\n%s\n' "$stray" >&2
    exit 1
  fi
fi
echo "$root"
