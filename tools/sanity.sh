#!/usr/bin/env bash
# Run `ansible-test sanity` and `ansible-test units` on the built artifact: what users install, not the checkout.
# Its tests' own requirements come from PyPI into .cache/home, once; warm it takes seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(cd "${VENV:-.cache/venv}" && pwd)
version=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
mkdir -p .cache
exec 9>.cache/artifact.lock
flock 9
export ARTIFACT_LOCKED=1
artifact=$(tools/build_artifact.sh)

# ansible-test looks interpreters up in PATH and cannot use a pyenv shim: the real one goes first.
PATH=$venv/bin:$(dirname "$(readlink -f "$venv/bin/python")"):$PATH
export PATH HOME=$PWD/.cache/home
# Its virtual environments get pip from a script that it downloads; the one that Python brings along does as well.
mkdir -p "$HOME/.ansible/test/cache"
pip_script=$("$venv/bin/python" - <<'PYTHON'
from types import SimpleNamespace
from ansible_test._internal.python_requirements import get_venv_packages
print("get_pip_%s.py" % get_venv_packages(SimpleNamespace(version=""))["pip"].replace(".", "_"))
PYTHON
)
echo 'import ensurepip; ensurepip.bootstrap()' >"$HOME/.ansible/test/cache/$pip_script"

cd "$artifact"
# Without a repository of its own it would ask the checkout's git, which ignores all of .cache.
! command -v git >/dev/null || git init --quiet .

failed=0
quietly() { # label, command…: its output only when it fails
  local label=$1 start=$SECONDS log
  shift
  log=$(mktemp)
  if "$@" >"$log" 2>&1; then
    printf 'ok    %-38s %3ss  %s\n' "$label" $((SECONDS - start)) "$(grep -oE '[0-9]+ (passed|skipped)' "$log" | paste -sd' ' || true)"
  else
    printf 'FAIL  %-38s %3ss\n' "$label" $((SECONDS - start))
    grep -vE '^(WARNING: Using locale|Collecting|  Downloading|Looking in|Processing|Installing|Successfully)' "$log" || true
    failed=1
  fi
  rm -f "$log"
}

# By their names and from elsewhere, as an AWX job or a user of the installed collection runs them.
mapfile -t playbooks < <(basename --suffix .yml playbooks/*.yml | sed 's/^/quayside.web./')
quietly "playbooks of the installed collection" env --chdir / ANSIBLE_COLLECTIONS_PATH="${artifact%/ansible_collections/*}" \
  ansible-playbook --inventory localhost, --syntax-check "${playbooks[@]}"
quietly "ansible-test sanity ($version)" ansible-test sanity --python "$version"
quietly "ansible-test units ($version)" ansible-test units --python "$version"
# The hosts' Python differs from the controller's: wherever another one is installed, what runs on hosts must load in it.
for other in 3.9 3.10 3.12 3.13; do
  if [ "$other" != "$version" ] && "python$other" -c '' 2>/dev/null; then
    quietly "ansible-test compile, import ($other)" ansible-test sanity --python "$other" --test compile --test import
  fi
done
exit "$failed"
