# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""An app that has its database attack whoever backs it up, drills it or restores it. On the server it is nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hosts import HOSTS, ROOT, Host, both, good, refused

CONFIG, SAME = "/root/hostile.json", "/root/hostile-same.json"
SUPERUSER = "postgresql://postgres@/{}?host=/var/run/postgresql"
OWNER = "postgresql://hostile:hostile@127.0.0.1/hostile"
#: Whoever runs it says so by a file: the server's administrator may run programs on it.
STRIKE = """
CREATE FUNCTION evil.strike(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'cat > /tmp/pwned-' || what);
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $$;
"""
ATTACKS = f"""
CREATE SCHEMA evil;
{STRIKE}
-- A constraint is checked when its table's rows are loaded.
CREATE FUNCTION public.checked(id int) RETURNS bool LANGUAGE plpgsql AS
  $$ BEGIN PERFORM evil.strike('check'); RETURN true; END $$;
CREATE TABLE public.orders (id int PRIMARY KEY CHECK (public.checked(id)), note text);
INSERT INTO public.orders VALUES (1, 'one'), (2, 'two');
-- A generated column and an index are evaluated then, too.
CREATE FUNCTION public.plain(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN PERFORM evil.strike('index'); RETURN id; END $$;
CREATE INDEX ON public.orders (public.plain(id));
-- A row that is cast to text, to be hashed.
CREATE FUNCTION evil.as_text(public.orders) RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN PERFORM evil.strike('cast'); RETURN 'x'; END $$;
CREATE CAST (public.orders AS text) WITH FUNCTION evil.as_text(public.orders) AS ASSIGNMENT;
-- Functions, an aggregate and an operator in the place of PostgreSQL's own.
CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN PERFORM evil.strike('function'); RETURN pg_catalog.current_setting($1); END $$;
CREATE FUNCTION evil.pg_export_snapshot() RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN PERFORM evil.strike('function'); RETURN pg_catalog.pg_export_snapshot(); END $$;
CREATE FUNCTION evil.convert_to(text, name) RETURNS bytea LANGUAGE plpgsql AS
  $$ BEGIN PERFORM evil.strike('function'); RETURN pg_catalog.convert_to($1, $2); END $$;
CREATE FUNCTION evil.counted(int8) RETURNS int8 LANGUAGE plpgsql AS
  $$ BEGIN PERFORM evil.strike('aggregate'); RETURN $1 + 1; END $$;
CREATE AGGREGATE evil.count(*) (SFUNC = evil.counted, STYPE = int8, INITCOND = '0');
CREATE FUNCTION evil.same(name, name) RETURNS bool LANGUAGE plpgsql AS
  $$ BEGIN PERFORM evil.strike('operator'); RETURN pg_catalog.nameeq($1, $2); END $$;
CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.same);
ALTER DATABASE hostile SET search_path = evil, pg_catalog;
ALTER ROLE hostile IN DATABASE hostile SET search_path = evil, pg_catalog;
"""


def as_hostile(host: Host, sql: str) -> None:
    host.good("psql", "-Xq", "-v", "ON_ERROR_STOP=1", OWNER, text=sql)


@pytest.fixture(scope="module", autouse=True)
def hostile() -> Iterator[None]:
    """A database that its owner, an ordinary role, has made hostile; the superuser backs it up, as many let it."""
    database = {"name": "hostile", "url": SUPERUSER.format("hostile"), "owner_url": OWNER, "hashed": True, "minimum": 1}
    settings = {"format": 1, "root": ROOT, "databases": [database]}
    same = {**settings, "databases": [{**database, "drill": {"server": "same"}}]}
    for host in HOSTS:
        host.sql("CREATE ROLE hostile LOGIN PASSWORD 'hostile'")
        host.sql("CREATE DATABASE hostile OWNER hostile")
        as_hostile(host, ATTACKS)
        host.write(CONFIG, json.dumps(settings))
        host.write(SAME, json.dumps(same))
    yield
    for host in HOSTS:
        for name in host.sql("SELECT datname FROM pg_database WHERE datname LIKE 'hostile%'").split():
            host.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        host.sql("DROP ROLE hostile")
        host.shell(f"rm -rf {CONFIG} {SAME} {ROOT}/hostile")


def struck(host: Host) -> str:
    return host.shell("cd /tmp && ls -d pwned-* 2>/dev/null || true")


@both
def test_the_attacks_work_on_whoever_does_not_expect_them(host: Host) -> None:
    sql = "SELECT count(*), current_setting('port') FROM pg_catalog.pg_class WHERE relname = name 'pg_class'"
    host.sql(sql, "hostile")
    host.sql("INSERT INTO public.orders VALUES (0, 'zero')", "hostile")
    host.sql("SELECT (o.*)::text FROM public.orders o", "hostile")
    found = struck(host).split()
    host.shell("rm -f /tmp/pwned-*")
    assert {"pwned-function", "pwned-aggregate", "pwned-operator", "pwned-check", "pwned-cast"} <= set(found)


@both
def test_a_backup_by_the_superuser_runs_none_of_it(host: Host) -> None:
    made = good(host.backup("--config", CONFIG, "run", "hostile", "--json")).json[0]
    assert (made["ok"], made["rows"]) == (True, 3)
    assert struck(host) == ""


@both
def test_nor_does_a_drill_nor_a_restore(host: Host) -> None:
    for config in (CONFIG, SAME):
        good(host.backup("--config", config, "drill", "hostile"))
        assert struck(host) == ""
        assert [backup["proven"] for backup in host.backups("hostile")] == [True]
    host.sql("DELETE FROM public.orders WHERE id = 1", "hostile")
    host.shell("rm -f /tmp/pwned-*")
    good(host.backup("--config", CONFIG, "restore", "hostile"))
    good(host.backup("--config", CONFIG, "restore", "hostile", "--into", "hostile_copy"))
    good(host.backup("--config", CONFIG, "restore", "hostile", "--data-only", "--truncate"))
    assert struck(host) == ""
    count = "SELECT pg_catalog.count(*), pg_catalog.min(note) FROM public.orders"
    assert host.sql(count, "hostile") == host.sql(count, "hostile_copy") == "3|one"
    assert host.sql("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'hostile'") == "hostile"


@pytest.mark.parametrize(
    ("rights", "why"),
    [
        ("ALTER ROLE hostile SUPERUSER", "it is a superuser"),
        ("ALTER ROLE hostile CREATEROLE", "CREATEROLE"),
        ("GRANT pg_execute_server_program TO hostile", "a member of pg_execute_server_program"),
        ("GRANT faults TO hostile", "roles that own other databases (faults)"),
    ],
)
def test_a_role_that_reaches_further_must_not_load(rights: str, why: str) -> None:
    host = HOSTS[0]
    host.sql(rights)
    try:
        for more in ([], ["--data-only", "--truncate"], ["--into", "elsewhere"]):
            refused(host.backup("--config", CONFIG, "restore", "hostile", *more), "must not load a backup", why)
        assert host.sql("SELECT count(*) FROM pg_database WHERE datname = 'elsewhere'") == "0"
    finally:
        host.sql("ALTER ROLE hostile NOSUPERUSER NOCREATEROLE")
        host.sql("REVOKE pg_execute_server_program FROM hostile; REVOKE faults FROM hostile")
        host.shell("rm -f /tmp/pwned-*")


@both
def test_the_superuser_is_refused_as_the_one_who_loads(host: Host) -> None:
    owner = SUPERUSER.format("hostile")
    refused(
        host.backup("--config", CONFIG, "restore", "hostile", "--owner-url", owner), "The role postgres must not load"
    )
    assert struck(host) == ""
