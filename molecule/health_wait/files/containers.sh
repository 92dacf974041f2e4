#!/bin/sh
# Containers in every state that a wait can meet, made from one static binary.
set -eu
cd "$(mktemp -d)"
mkdir bin
cp /bin/busybox bin/busybox
ln -s busybox bin/sh
tar -c . | docker import - tiny:test

start() {
    name=$1
    shift
    docker run --detach --name "$name" "$@"
}
start steady tiny:test /bin/sh -c 'echo started; exec busybox sleep 1000000'
start doomed tiny:test /bin/sh -c 'echo started; exec busybox sleep 1000000'
start checked --health-interval 1s --health-cmd true tiny:test /bin/busybox sleep 1000000
start sick --health-interval 1s --health-retries 1 --health-cmd 'echo no database; false' tiny:test /bin/busybox sleep 1000000
start crashed tiny:test /bin/sh -c 'busybox seq 60 | busybox sed "s/^/line /"; exit 3'
start looping --restart always tiny:test /bin/sh -c 'echo no database; exit 1'
docker create --name created tiny:test /bin/busybox true
