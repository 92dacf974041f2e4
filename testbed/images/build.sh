#!/usr/bin/env bash
# Builds the testbed's images: build.sh [image:release ...], all of them when none is named.
# Each is kept under a tag that carries a hash of its recipe; what is there already is not built again.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
all=(base:bookworm base:trixie host:bookworm host:trixie db:bookworm db:trixie services:bookworm)
ca_bundle=/etc/ssl/certs/ca-certificates.crt
# What the roles install, by recommended names; an unknown one would stop the build.
cached_packages=(acl age certbot cron curl docker.io git iptables logrotate nginx openssl postgresql-client
    python3-certbot-dns-rfc2136 python3-docker python3-psycopg2 python3-requests rclone ufw)

fail() {
    echo "testbed/images/build.sh: $*" >&2
    exit 1
}

parent_of() {
    case $1 in
        base) ;;
        host) echo base ;;
        db | services) echo host ;;
        *) fail "there is no image $1; there are: ${all[*]}" ;;
    esac
}

packages_of() {
    case $1 in
        # Docker's client is a package of its own from Debian 13 on.
        host:trixie) echo "${cached_packages[@]}" docker-cli ;;
        host:*) echo "${cached_packages[@]}" ;;
    esac
}

# The recipe: everything that decides what the image holds.
recipe_hash() {
    local image=${1%:*} release=${1#*:} parent
    parent=$(parent_of "$image")
    {
        echo "$1" "$(packages_of "$1")"
        cat "$here/$image.Dockerfile"
        if [ -n "$parent" ]; then
            recipe_hash "$parent:$release"
        else
            cat "$ca_bundle"
            sed -n '/^make_base/,/^}/p' "$here/build.sh"
        fi
        if [ -d "$here/$image" ]; then
            (cd "$here/$image" && find . -type f | LC_ALL=C sort | while read -r file; do
                stat -c '%A %n' "$file" && cat "$file"
            done)
        fi
    } | sha256sum | cut -c1-12
}

# mmdebstrap needs no root where users may have namespaces of their own.
bootstrap() {
    mmdebstrap "$@" || { [ "$(id -u)" != 0 ] && sudo mmdebstrap "$@"; }
}

make_base() {
    local release=$1 tag=$2 context archive
    if timeout 120 docker pull -q "debian:$release-slim" >/dev/null 2>&1; then
        context=$(mktemp -d)
        cp "$ca_bundle" "$context/"
        docker build -q -t "$tag" --build-arg "RELEASE=$release" -f "$here/base.Dockerfile" "$context" >/dev/null
        rm -r "$context"
        return
    fi
    # The outer machine's CA bundle goes in: behind a network that re-signs TLS, pip and npm need it; elsewhere it changes nothing.
    archive=$(mktemp -d)/base.tar
    bootstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-venv \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook="upload $ca_bundle $ca_bundle" \
        "$release" "$archive" &&
        docker import -c 'ENV LANG=C.UTF-8' -c 'CMD ["/bin/sh"]' "$archive" "$tag" >/dev/null &&
        rm -r "${archive%/*}"
}

build() {
    local image=${1%:*} release=${1#*:} parent
    parent=$(parent_of "$image")
    local tag log
    tag=quayside/$1-$(recipe_hash "$1")
    [ -z "$parent" ] || (build "$parent:$release")
    if ! docker image inspect "$tag" >/dev/null 2>&1; then
        echo "building quayside/$1"
        log=$(mktemp)
        if [ -z "$parent" ]; then
            make_base "$release" "$tag" >"$log" 2>&1 || { cat "$log" >&2; fail "quayside/$1 could not be built: see above."; }
        else
            docker build -t "$tag" -f "$here/$image.Dockerfile" --build-arg "BASE=quayside/$parent:$release" \
                --build-arg "CACHED_PACKAGES=$(packages_of "$1")" "$here" >"$log" 2>&1 ||
                { tail -n 40 "$log" >&2; fail "quayside/$1 could not be built: see above."; }
        fi
        rm "$log"
    fi
    docker image inspect "$tag" >/dev/null 2>&1 || fail "quayside/$1 was built but is not there."
    docker tag "$tag" "quayside/$1"
}

[ $# != 0 ] || set -- "${all[@]}"
for name; do
    case " ${all[*]} " in *" $name "*) ;; *) fail "there is no image $name; there are: ${all[*]}" ;; esac
done

# The two releases have nothing in common, so they are built side by side.
pids=()
for release in bookworm trixie; do
    (for name; do [ "${name#*:}" != "$release" ] || build "$name"; done) &
    pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
exit $failed
