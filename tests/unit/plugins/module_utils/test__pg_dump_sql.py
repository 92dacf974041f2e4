# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Reading what a dump needs, and its database's statements under another name."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_dump_sql import (
    fit_create,
    literal,
    quote,
    read_database,
    read_needs,
    statements,
    unquote,
)

# As pg_restore 17 prints it for a database called We"ird 'DB.
DATABASE = r"""
--
-- Name: We"ird 'DB; Type: DATABASE; Schema: -; Owner: App Owner
--

\restrict XeMAAYvIKaoEnrSGqSEzcIOgD4icxfMQg3kZz4YNce6h25Ii6SztA6pUBlFL3WL
SET standard_conforming_strings = on;
CREATE DATABASE "We""ird 'DB" WITH TEMPLATE = template0 ENCODING = 'UTF8' LC_CTYPE = 'C.UTF-8';
ALTER DATABASE "We""ird 'DB" OWNER TO "App Owner";
\connect -reuse-previous=on "dbname='We""ird \'DB'"
COMMENT ON DATABASE "We""ird 'DB" IS 'main; DATABASE "We""ird ''DB" database
of two lines';
ALTER DATABASE "We""ird 'DB" CONNECTION LIMIT = 40;
ALTER DATABASE "We""ird 'DB" SET search_path TO 'public', 'Foo; DATABASE x';
ALTER DATABASE "We""ird 'DB" SET "app.path" TO E'a\\b''c;';
ALTER ROLE reader IN DATABASE "We""ird 'DB" SET work_mem TO '8MB';
REVOKE CONNECT,TEMPORARY ON DATABASE "We""ird 'DB" FROM PUBLIC;
GRANT CONNECT ON DATABASE "We""ird 'DB" TO reader;
"""


def test_a_database_gets_another_name_and_nothing_else_changes() -> None:
    found = read_database(DATABASE, 'new "one"')
    name = '"new ""one"""'
    assert found.create == (f"CREATE DATABASE {name} WITH TEMPLATE = template0 ENCODING = 'UTF8' LC_CTYPE = 'C.UTF-8'")
    assert found.owner == "App Owner"
    assert found.settings == (
        f"ALTER DATABASE {name} SET search_path TO 'public', 'Foo; DATABASE x'",
        f"ALTER DATABASE {name} SET \"app.path\" TO E'a\\\\b''c;'",
        f"ALTER ROLE reader IN DATABASE {name} SET work_mem TO '8MB'",
    )
    assert found.own_settings == found.settings[:2]
    assert found.limits == (f"ALTER DATABASE {name} CONNECTION LIMIT = 40",)
    assert found.grants == (
        f"REVOKE CONNECT,TEMPORARY ON DATABASE {name} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {name} TO reader",
    )
    assert found.comment == "'main; DATABASE \"We\"\"ird ''DB\" database\nof two lines'"


def test_a_dump_without_its_database_says_nothing_about_it() -> None:
    found = read_database("CREATE TABLE public.database (a int);", "new")
    assert (found.create, found.owner, found.settings, found.comment) == ("", "", (), "NULL")


@pytest.mark.parametrize(
    ("sql", "roles"),
    [
        pytest.param("ALTER TABLE public.t OWNER TO app;", {"app"}, id="owner"),
        pytest.param('ALTER FUNCTION public.f(text) OWNER TO "App Owner";', {"App Owner"}, id="quoted-owner"),
        pytest.param("GRANT SELECT(a),UPDATE ON TABLE public.t TO one, two;", {"one", "two"}, id="grantees"),
        pytest.param("GRANT ALL ON SCHEMA public TO PUBLIC;", set(), id="public-is-no-role"),
        pytest.param('GRANT ALL ON SCHEMA s TO "PUBLIC";', {"PUBLIC"}, id="a-role-called-public"),
        pytest.param('GRANT USAGE ON SCHEMA "TO" TO app WITH GRANT OPTION;', {"app"}, id="keyword-as-a-name"),
        pytest.param("REVOKE ALL ON FUNCTION public.f() FROM app;", {"app"}, id="revoke"),
        pytest.param(
            "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA s GRANT SELECT ON TABLES  TO reader;",
            {"app", "reader"},
            id="default-privileges",
        ),
        pytest.param(
            "ALTER DEFAULT PRIVILEGES FOR ROLE app REVOKE ALL ON FUNCTIONS FROM PUBLIC;", {"app"}, id="default-revoked"
        ),
        pytest.param(
            "CREATE POLICY p ON public.t FOR SELECT TO one, two USING ((a = 'TO x'::text));",
            {"one", "two"},
            id="policy",
        ),
        pytest.param("CREATE POLICY p ON public.t USING (true);", set(), id="policy-for-all"),
        pytest.param("CREATE USER MAPPING FOR app SERVER s OPTIONS (password 'x');", {"app"}, id="user-mapping"),
        pytest.param("ALTER ROLE app IN DATABASE d SET work_mem TO '8MB';", {"app"}, id="role-setting"),
        pytest.param("SET SESSION AUTHORIZATION 'The Boss';", {"The Boss"}, id="grantor"),
        pytest.param("SET SESSION AUTHORIZATION DEFAULT;", set(), id="grantor-over"),
        pytest.param(
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $_$ GRANT x ON y TO ghost; $_$;", set(), id="in-a-body"
        ),
        pytest.param("COMMENT ON TABLE t IS 'it''s; ALTER TABLE t OWNER TO ghost;';", set(), id="in-a-comment"),
        pytest.param("-- ALTER TABLE t OWNER TO ghost;\nSELECT 1;", set(), id="in-a-remark"),
        pytest.param("\\connect ghost\nSELECT 1;", set(), id="commands-of-psql"),
    ],
)
def test_every_role_is_found(sql: str, roles: set[str]) -> None:
    assert set(read_needs(sql).roles) == roles


def test_what_else_a_dump_needs() -> None:
    found = read_needs(
        'CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public; SET default_tablespace = fast;'
        "SET default_tablespace = ''; CREATE DATABASE d WITH TEMPLATE = template0 TABLESPACE = \"Big Disk\";"
        "CREATE SUBSCRIPTION sub CONNECTION 'host=x' PUBLICATION p; ALTER TABLE a OWNER TO app;"
        "CREATE POLICY p ON a TO reader; GRANT ALL ON TABLE a TO other;"
    )
    assert found.extensions == ("uuid-ossp",)
    assert found.tablespaces == ("Big Disk", "fast")
    assert found.subscriptions == ("sub",)
    assert found.owners == ("app",)
    assert found.named == ("reader",)
    assert found.roles == ("app", "other", "reader")


CREATE = "CREATE DATABASE d LOCALE_PROVIDER = libc TABLESPACE = \"a b\" LOCALE = 'C'"


@pytest.mark.parametrize(
    ("server", "tablespaces", "expected"),
    [
        pytest.param(
            15, True, "CREATE DATABASE d LOCALE_PROVIDER = libc TABLESPACE = \"a b\" LOCALE = 'C'", id="as-it-is"
        ),
        pytest.param(14, True, "CREATE DATABASE d TABLESPACE = \"a b\" LOCALE = 'C'", id="before-providers"),
        pytest.param(17, False, "CREATE DATABASE d LOCALE_PROVIDER = libc LOCALE = 'C'", id="tablespace-missing"),
    ],
)
def test_create_fits_the_server(server: int, tablespaces: bool, expected: str) -> None:
    assert fit_create(CREATE, server, tablespaces) == expected


def test_dollar_quotes_of_another_kind_are_inside() -> None:
    sql = "CREATE FUNCTION f() AS $outer$ BEGIN x := $$;$$; y := $1; END $outer$; SELECT 2;"
    assert [statement.tokens[0] for statement in statements(sql)] == ["CREATE", "SELECT"]


@pytest.mark.parametrize("name", ["plain", 'a"b', "Ümlaut", "with space"], ids=repr)
def test_a_quoted_name_reads_as_itself(name: str) -> None:
    assert unquote(quote(name)) == name


def test_an_unquoted_name_is_folded() -> None:
    assert unquote("Reader") == "reader"


@pytest.mark.parametrize(("text", "sql"), [("it's", "'it''s'"), ("a\\b'", "E'a\\\\b'''")], ids=["quote", "backslash"])
def test_literals_hold_whatever_they_are_given(text: str, sql: str) -> None:
    assert literal(text) == sql
