#!/usr/bin/env bash
# The demo: a bare web host and a bare database host become two live HTTPS apps. Run it through `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
export ANSIBLE_CALLBACKS_ENABLED=ansible.posix.timer

fail() {
    echo "demo: $*" >&2
    exit 1
}

step() {
    printf '\n== %s\n' "$*"
}

inventory=inventories/demo
registry=127.0.0.1:5007
health=https://ledger.demo.test/health
root=$PWD/.cache/testbed/demo/acme-root.pem
curl=(curl --cacert "$root" --resolve ledger.demo.test:443:172.30.7.10 "$health")

step "images of the test hosts"
testbed/images/build.sh base:bookworm host:bookworm db:bookworm services:bookworm

step "the hosts"
ansible-playbook testbed/up.yml -i $inventory

step "the app's image"
testbed/push-ledger.sh "$registry" 1.0.0 1.1.0

step "from bare hosts to live apps: ansible-playbook site.yml -i $inventory"
ansible-playbook site.yml -i $inventory

answer=$("${curl[@]}" --silent --show-error --fail --max-time 10) || fail "$health does not answer over valid HTTPS."
case $answer in *'"status"'*) ;; *) fail "$health answered without a status: $answer" ;; esac

cat <<SUMMARY

The demo is up: two apps on quayside-demo-web (172.30.7.10), their databases on quayside-demo-db (172.30.7.20).
  deploy the next version   make demo-deploy
  look around               make demo-shell
  remove all of it          make demo-down
Ask the app for its health:

SUMMARY
printf '%s' "${curl[0]}"
printf ' %q' "${curl[@]:1}"
echo
