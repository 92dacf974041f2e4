#!/usr/bin/env bash
# Makes this machine able to run the demo and the tests: setup.sh [python]. With `python` no Docker is asked for.
# Installs through apt what is missing, and only then asks for root; says nothing when all is there.
set -euo pipefail

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
venv=$root/.cache/venv
part=${1:-all}

fail() {
    echo "testbed/setup.sh: $*" >&2
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        fail "root is needed once: run as root \`$*\`, then try again."
    fi
}

# The first interpreter that Ansible 12 and the pinned packages accept.
python() {
    for name in python3 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
}

missing_packages() {
    [ -n "$(python)" ] || echo python3
    [ -x "$venv/bin/python" ] || "$(python)" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    has git || echo git
    has pgrep || echo procps
    has shellcheck || echo shellcheck
    [ "$part" != python ] || return 0
    has dockerd || echo docker.io
    has docker || { [ -z "$(apt-cache search --names-only '^docker-cli$')" ] || echo docker-cli; }
    has mmdebstrap || printf '%s\n' mmdebstrap debian-archive-keyring uidmap
    has ssh || echo openssh-client
    has openssl || echo openssl
    has curl || echo curl
}

install_packages() {
    local packages log
    # A fresh machine has no package lists yet, and missing_packages asks them.
    mapfile -t packages < <(missing_packages 2>/dev/null)
    [ ${#packages[@]} != 0 ] || return 0
    has apt-get || fail "${packages[*]} missing, and there is no apt-get to install with: install them by hand, then try again."
    log=$(mktemp)
    as_root apt-get update -q >"$log" 2>&1 || { cat "$log" >&2; fail "apt-get update failed: see above."; }
    mapfile -t packages < <(missing_packages)
    echo "installing ${packages[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${packages[@]}" >"$log" 2>&1 ||
        { tail -n 30 "$log" >&2; fail "apt-get install ${packages[*]} failed: see above."; }
    rm "$log"
    [ -n "$(python)" ] || fail "Python 3.11, 3.12 or 3.13 is needed; $(python3 --version 2>&1) was found."
}

make_venv() {
    stamp=$(cd "$root" && cat requirements.txt requirements-dev.txt constraints.txt | sha256sum | cut -c1-16)
    [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$stamp" ] || return 0
    echo "installing the Python packages into .cache/venv"
    "$venv/bin/python" -c '' 2>/dev/null || { rm -rf "$venv" && mkdir -p "$root/.cache" && "$(python)" -m venv "$venv"; }
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$root/requirements-dev.txt" ||
        fail "pip could not install requirements-dev.txt: see above."
    echo "$stamp" >"$venv/.stamp"
}

docker_answers() {
    docker version >/dev/null 2>&1
}

start_docker() {
    ! docker_answers || return 0
    if [ -d /run/systemd/system ]; then
        systemctl is-active -q docker || as_root systemctl start docker
    # A process list shows one that was killed too, until its parent takes notice.
    elif ! pgrep -x -r D,R,S dockerd >/dev/null; then
        echo "starting dockerd"
        # Of a dockerd that was killed: the next one would not start if the number in it is in use by then.
        as_root rm -f /run/docker.pid /run/docker.sock /run/docker/containerd/containerd.pid
        as_root sh -c 'setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &'
    fi
    socket=/run/docker.sock
    for _ in $(seq 120); do
        if docker_answers; then return; fi
        # It runs, and only this user may not use it yet.
        if [ -S $socket ] && [ ! -w $socket ]; then break; fi
        sleep 0.5
    done
    [ -S $socket ] || fail "dockerd does not start; it said last: $(tail -n 1 /var/log/dockerd.log 2>&1)"
    user=$(id -un)
    id -nG "$user" | grep -qw docker || as_root usermod -aG docker "$user"
    sg docker -c 'docker version' >/dev/null 2>&1 ||
        fail "Docker runs, but $user may not use it: log out and in again for the group docker, then try again."
}

install_packages
make_venv
[ "$part" = python ] || start_docker
