# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Drills in a server that exists for them only: what it sees, what it may take, and what is left of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from hosts import DEBIAN12, HOSTS, ROOT, Host, both, good, refused, wait_for

from testbed.faults.backups.bed import Background

FOLDER = "/var/lib/quayside-drill"
#: The server's own superuser runs a program in it, as hostile code would like to.
INSIDE = """
import sys
sys.path.insert(0, "/usr/local/lib/quayside")
from quayside_backup._pg_cluster import choose_server, local_cluster
from quayside_backup._pg_connect import connect
with local_cluster(choose_server(12), 1 << 30, ["/var/backups/quayside"]) as logins:
    cursor = connect(logins.admin).cursor()
    cursor.execute("CREATE TEMP TABLE said (line text)")
    for command in sys.argv[1:]:
        cursor.execute("COPY said FROM PROGRAM %s", ("(" + command + ") 2>&1 | head -n 1",))
        cursor.execute("SELECT coalesce(max(line), '') FROM said")
        print(cursor.fetchone()[0])
        cursor.execute("TRUNCATE said")
"""
#: A big table whose rows are small in the dump.
BIG = "CREATE TABLE bombs AS SELECT n, repeat('0', 2000) AS zeros FROM generate_series(1, 800000) n"


def processes(host: Host) -> str:
    return host.shell("pgrep -u quayside-drill || true")


@both
def test_a_program_in_it_is_nobody_sees_nothing_and_reaches_nothing(host: Host) -> None:
    commands = {
        "id -un": "quayside-drill",
        "ls -A /etc/quayside": "ls: cannot open directory '/etc/quayside': Permission denied",
        "ls -A /var/backups/quayside": "ls: cannot access '/var/backups/quayside': Permission denied",
        "ls -A /run": "ls: cannot open directory '/run': Permission denied",
        "ls /proc | grep -c '^[0-9]*[05]$' | sed 's/[0-9]//'": "",
        "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' \\n'": "lo",
        "pgrep -x systemd": "",
        "touch /tmp/x /var/tmp/x": "touch: cannot touch '/tmp/x': Permission denied",
        "touch /var/lib/quayside-drill/x": "touch: cannot touch '/var/lib/quayside-drill/x': Permission denied",
        "grep CapEff /proc/self/status | tr -d '\\t'": "CapEff:0000000000000000",
        "grep CapBnd /proc/self/status | tr -d '\\t'": "CapBnd:0000000000000000",
        "grep NoNewPrivs /proc/self/status | tr -d '\\t'": "NoNewPrivs:1",
    }
    found = good(host.run("python3", "-c", INSIDE, *commands)).out.split("\n")
    assert dict(zip(commands, found, strict=False)) == commands
    assert processes(host) == "" and host.shell(f"ls {FOLDER}") == ""


@both
def test_a_killed_drill_leaves_no_process_and_the_next_one_no_folder(host: Host) -> None:
    drill = Background(host, "quayside-backup", "drill", "shop")
    wait_for(lambda: processes(host), 30, "the server of the drill")
    host.shell("pkill -KILL -f '[q]uayside-backup drill shop'")
    drill.end()
    wait_for(lambda: not processes(host), 10, "its end")
    assert host.shell(f"ls {FOLDER}") != ""
    good(host.backup("drill", "shop"))
    assert host.shell(f"ls {FOLDER}") == "" and processes(host) == ""


@pytest.fixture(scope="module")
def bomb() -> Iterator[str]:
    """A database that is small in a dump and large in a server."""
    host, config = DEBIAN12, "/root/bomb.json"
    host.sql("CREATE ROLE bomb LOGIN PASSWORD 'bomb'")
    host.sql("CREATE DATABASE bomb OWNER bomb")
    host.sql(f"SET ROLE bomb; {BIG}", "bomb")
    database = {"name": "bomb", "url": "postgresql://bomb:bomb@127.0.0.1/bomb", "minimum": 1}
    host.write(config, json.dumps({"format": 1, "root": ROOT, "databases": [database]}))
    yield config
    host.sql("DROP DATABASE bomb")
    host.sql("DROP ROLE bomb")
    host.shell(f"rm -rf {config} {ROOT}/bomb")


def test_a_dump_that_grows_without_end_is_stopped_and_says_so(bomb: str) -> None:
    host = DEBIAN12
    good(host.backup("--config", bomb, "run", "bomb"))
    began = time.monotonic()
    refused(host.backup("--config", bomb, "drill", "bomb"), "used more than the 1024 MiB of disk that it may")
    print(f"stopped after {time.monotonic() - began:.1f} s")
    assert host.shell(f"ls {FOLDER}") == "" and processes(host) == ""


SLOPPY = """
CREATE SCHEMA tools;
CREATE FUNCTION tools.plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';
ALTER ROLE sloppy SET search_path = public, tools;
SET search_path = public, tools;
CREATE TABLE word (id int PRIMARY KEY, text text);
CREATE FUNCTION folded(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN plain($1); END';
CREATE INDEX word_folded ON word (folded(text));
COMMENT ON INDEX word_folded IS 'by what the search_path finds';
CREATE MATERIALIZED VIEW folded_words AS SELECT id, folded(text) FROM word WITH NO DATA;
"""


@pytest.fixture(scope="module")
def sloppy() -> Iterator[str]:
    """A database with an index whose function finds what it calls by the search_path of its sessions only."""
    config, url = "/root/sloppy.json", "postgresql://sloppy:sloppy@127.0.0.1/sloppy"
    database = {"name": "sloppy", "url": url, "admin_url": "postgresql://postgres@/postgres?host=/run/postgresql"}
    for host in HOSTS:
        host.sql("CREATE ROLE sloppy LOGIN PASSWORD 'sloppy'")
        host.sql("CREATE DATABASE sloppy OWNER sloppy")
        host.good("psql", "-Xq", "-v", "ON_ERROR_STOP=1", url, text=SLOPPY)
        # PostgreSQL 17 builds and fills nothing like that itself, but for an index on a table without rows.
        host.good("psql", "-Xq", url, text="INSERT INTO word SELECT n, 'Word ' || n FROM generate_series(1, 50) n")
        host.write(config, json.dumps({"format": 1, "root": ROOT, "databases": [database]}))
    yield config
    for host in HOSTS:
        for name in host.sql("SELECT datname FROM pg_database WHERE datname LIKE 'sloppy%'").split():
            host.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        host.sql("DROP ROLE sloppy")
        host.shell(f"rm -rf {config} {ROOT}/sloppy")


@both
def test_an_index_that_needs_a_search_path_costs_no_row_and_no_proof(host: Host, sloppy: str) -> None:
    good(host.backup("--config", sloppy, "run", "sloppy"))
    told = good(host.backup("--config", sloppy, "drill", "sloppy")).said
    assert "index word_folded of public.word (function plain(text) does not exist)" in told
    (backup,) = host.backups("sloppy")
    assert backup["proven"]
    excepted = host.manifest("sloppy", backup["id"])["proof"]["excepted"]
    assert [text.partition(" (")[0] for text in excepted][:1] == ["index word_folded of public.word"]


@both
def test_a_person_decides_whether_a_database_goes_live_without_it(host: Host, sloppy: str) -> None:
    host.sql("DELETE FROM public.word WHERE id <= 10", "sloppy")
    refused(
        host.backup("--config", sloppy, "restore", "sloppy"),
        "sloppy is as it was",
        "index word_folded",
        "accept_missing",
    )
    assert host.sql("SELECT count(*) FROM public.word", "sloppy") == "40"
    good(host.backup("--config", sloppy, "restore", "sloppy", "--into", "sloppy_beside"))
    assert host.sql("SELECT count(*) FROM public.word", "sloppy_beside") == "50"
    good(host.backup("--config", sloppy, "restore", "sloppy", "--accept-missing"))
    assert host.sql("SELECT count(*) FROM public.word", "sloppy") == "50"
