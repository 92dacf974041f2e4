#!/usr/bin/env bash
# Put the built artifact through galaxy-importer: what Galaxy itself would refuse or complain of.
# ansible-test and flake8 are left to tools/sanity.sh and ruff; the rest runs offline.
set -euo pipefail
cd "$(dirname "$0")/.."
base=$("${VENV:-.cache/venv}/bin/python" -c 'import sys; print(sys.base_prefix)')
venv=$PWD/.cache/importer
wanted=tools/requirements-importer.txt
if ! cmp -s "$wanted" "$venv/installed.txt"; then
  rm -rf "$venv"
  "$base/bin/python3" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
  cp "$wanted" "$venv/installed.txt"
fi
mkdir -p .cache
exec 9>.cache/artifact.lock
flock 9
export ARTIFACT_LOCKED=1
tools/build_artifact.sh >/dev/null

cat >.cache/importer.cfg <<'CONFIG'
[galaxy-importer]
CHECK_REQUIRED_TAGS = True
CHECK_CHANGELOG = True
RUN_ANSIBLE_DOC = True
RUN_ANSIBLE_LINT = True
RUN_ANSIBLE_TEST = False
RUN_FLAKE8 = False
CONFIG
# The collections that roles and playbooks name come inside the PyPI package `ansible`. The importer sets its own
# ANSIBLE_COLLECTIONS_PATH; ansible looks beside itself all the same.
packages='import sysconfig; print(sysconfig.get_path("purelib"))'
ln -sfn "$("${VENV:-.cache/venv}/bin/python" -c "$packages")/ansible_collections" "$("$venv/bin/python" -c "$packages")/ansible_collections"
export PATH=$venv/bin:$PATH GALAXY_IMPORTER_CONFIG=$PWD/.cache/importer.cfg ANSIBLE_LINT_OFFLINE=1
cd .cache/dist
start=$SECONDS
output=$(python -m galaxy_importer.main quayside-web-*.tar.gz 2>&1) && result=ok || result=FAIL
! grep -qE '^(WARNING|ERROR)' <<<"$output" || result=FAIL
printf '%-5s %-38s %3ss\n' "$result" galaxy-importer $((SECONDS - start))
[ "$result" = ok ] || { grep -v '^Loading' <<<"$output" && exit 1; }
