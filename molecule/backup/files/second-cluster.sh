#!/bin/sh
# Another PostgreSQL server on the same host, at port 5433: the other server to restore into, and the wrong one to dump.
set -eu
major=$(ls /usr/lib/postgresql)
[ ! -d "/etc/postgresql/$major/other" ] || exit 0
pg_createcluster --port 5433 --start "$major" other >/dev/null
