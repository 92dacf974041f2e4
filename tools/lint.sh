#!/usr/bin/env bash
# Every static gate over the checkout, ansible-lint beside the others: it takes longer than all of them together.
# `tools/lint.sh NAME…` runs only the named ones.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(cd "${VENV:-.cache/venv}" && pwd)
export PATH=$venv/bin:$PATH ANSIBLE_COLLECTIONS_PATH=$PWD/collections
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

ruff_check() { ruff check --quiet --output-format concise .; }
ruff_format() { ruff format --check --quiet --output-format concise .; }
# By package name, through the link in collections/: the names that the modules import each other by.
mypy_plugins() { mypy --no-error-summary -p ansible_collections.quayside.web.plugins; }
mypy_tools() { mypy --no-error-summary tools; }
yaml() { yamllint --strict .; }
shell() { find . \( -name '.?*' -o -name collections -o -name node_modules \) -prune -o -name '*.sh' -print0 | xargs -0r shellcheck; }
changelog() { antsibull-changelog lint; }
# antsibull-docs writes a log into the home directory.
docs() { mkdir -p .cache/home && HOME=$PWD/.cache/home antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=self .; }
ansible() { ansible-lint --offline --nocolor -q; }

run() {
  local start=$EPOCHREALTIME result=ok
  "$1" >"$logs/$1" 2>&1 || result=FAIL
  printf '%-5s %-14s %5.1fs\n' "$result" "$1" "$(awk "BEGIN { print $EPOCHREALTIME - $start }")"
  [ "$result" = ok ] || { cat "$logs/$1" && touch "$logs/failed"; }
}

gates=(ansible ruff_check ruff_format mypy_plugins mypy_tools yaml shell changelog docs)
[ $# -eq 0 ] || gates=("$@")
for gate in "${gates[@]}"; do
  if [ "$gate" = ansible ]; then run ansible & else run "$gate"; fi
done
wait
[ ! -e "$logs/failed" ]
