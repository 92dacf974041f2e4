# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._database_url import parse
from ansible_collections.quayside.web.plugins.module_utils._migration import (
    Migration,
    MigrationError,
    Plan,
    diff,
    explain_connect,
    gave_up_for_a_lock,
    index_warnings,
    last_line,
    lock_key,
    mask,
    milliseconds,
    parse_env_file,
    report,
    session_settings,
    summary,
    tool_env,
)

URL = parse("postgresql://shop:Se%2Fcret1@db.internal:5433/orders")
PLAN = Plan(before=("1",), after=("3",), pending=(Migration("2", "two"), Migration("3")))


def test_diff_and_report_tell_the_same_plan() -> None:
    assert diff(PLAN) == {"before": "revision: 1\n", "after": "revision: 3\napply: 2 two\napply: 3\n"}
    found = report(PLAN)
    assert (found["changed"], found["pending"], found["applied"]) == (True, ["2", "3"], [])
    assert found["diff"] == diff(PLAN)
    assert diff(Plan((), ()))["before"] == "revision: (none)\n"


def test_lock_key_is_stable_and_fits_a_bigint() -> None:
    assert lock_key("orders") == lock_key("orders") != lock_key("shop")
    assert -(2**63) <= lock_key("orders") < 2**63


@pytest.mark.parametrize(
    ("text", "value"), [("5s", 5000), ("500ms", 500), ("1min", 60000), ("250", 250), ("2 s", 2000)]
)
def test_milliseconds(text: str, value: int) -> None:
    assert milliseconds(text) == value


@pytest.mark.parametrize("text", ["0", "0s", "-1s", "soon", "5 hours", "", "1;drop"])
def test_milliseconds_refuses(text: str) -> None:
    with pytest.raises(MigrationError, match="expected a time above zero"):
        milliseconds(text)


@pytest.mark.parametrize(
    ("version", "settings"),
    [
        (130012, "-c lock_timeout=5000 -c tcp_keepalives_idle=30"),
        (150004, "-c lock_timeout=5000 -c tcp_keepalives_idle=30 -c client_connection_check_interval=1000"),
    ],
)
def test_session_settings(version: int, settings: str) -> None:
    assert session_settings("5s", version) == settings


@pytest.mark.parametrize(
    ("env", "url", "options", "given"),
    [
        ({}, "postgresql://a:b@c/d", "-c x=1", "postgresql://a:b@c/d"),
        ({"PGOPTIONS": "-c y=2"}, "postgresql://a:b@c/d?sslmode=require", "-c y=2 -c x=1", None),
        (
            {},
            "postgresql://a:b@c/d?options=-c%20y%3D2&sslmode=require",
            "-c x=1",
            "postgresql://a:b@c/d?options=-c%20y%3D2%20-c%20x%3D1&sslmode=require",
        ),
    ],
)
def test_tool_env(env: dict[str, str], url: str, options: str, given: str | None) -> None:
    found = tool_env({"KEEP": "1", "DB": "old", **env}, url=url, url_variable="DB", settings="-c x=1")
    assert found == {
        "NO_COLOR": "1",
        "KEEP": "1",
        "DB": given or url,
        "PGOPTIONS": options,
        "PGAPPNAME": "quayside-migrate",
    }


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("postgresql://a:b@c/d", "postgresql://a:b@c/d?application_name=quayside-migrate&options=-c%20x%3D1"),
        (
            "postgresql://a:b@c/d?schema=shop&options=-c%20y%3D2&application_name=mine",
            "postgresql://a:b@c/d?schema=shop&options=-c%20y%3D2%20-c%20x%3D1&application_name=mine",
        ),
    ],
)
def test_tool_env_puts_settings_into_the_url_for_a_driver_that_wants_them_there(url: str, given: str) -> None:
    assert tool_env({}, url=url, url_variable="DB", settings="-c x=1", in_url=True)["DB"] == given


def test_parse_env_file() -> None:
    assert parse_env_file("A=1\n# B=2\n\n C=x=y z \nD\nE=\n") == {"A": "1", "C": "x=y z ", "E": ""}


@pytest.mark.parametrize(
    ("state", "text"),
    [(None, "(unknown)"), ((), "(none)"), (("1", "2"), "1, 2"), (("1", "2", "3", "4"), "4 and 3 more")],
)
def test_summary(state: tuple[str, ...] | None, text: str) -> None:
    assert summary(state) == text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("canceling statement due to lock timeout", True),
        ("psycopg.errors.LockNotAvailable: x", True),
        ("Error: P1002", True),
        ("division by zero", False),
    ],
)
def test_gave_up_for_a_lock(text: str, found: bool) -> None:
    assert gave_up_for_a_lock(text) is found


def test_an_invalid_index_is_named_with_what_to_do() -> None:
    assert index_warnings("shop", []) == []
    assert "REINDEX INDEX CONCURRENTLY parts_email" in index_warnings("shop", ["parts_email"])[0]


def test_mask_knows_both_spellings_and_spares_the_short_ones() -> None:
    text = "at db with Se/cret1 or Se%2Fcret1"
    assert mask(text, ["Se/cret1", "", "db"]) == "at db with ******** or ********"
    assert len(mask("x" * 90_000, [])) < 21_000


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "it printed nothing"),
        ("one\ntwo\n\n", "two"),
        (
            "Traceback\n  x()\nsqlalchemy.exc.DataError: (psycopg.errors.DivisionByZero) division by zero\n"
            "[SQL: select]\n(Background on this error at: https://sqlalche.me/e/21/9h9h)",
            "sqlalchemy.exc.DataError: (psycopg.errors.DivisionByZero) division by zero",
        ),
        ("Traceback\nKeyError: 'nope'", "KeyError: 'nope'"),
        ("  FAILED: Can't locate revision identified by 'x'\n", "FAILED: Can't locate revision identified by 'x'"),
    ],
)
def test_last_line(text: str, line: str) -> None:
    assert last_line(text) == line


@pytest.mark.parametrize(
    ("text", "part", "bearable"),
    [
        ('FATAL:  password authentication failed for user "shop"', "refused the password of user shop", False),
        ("fe_sendauth: no password supplied", "refused the password of user shop", False),
        ('FATAL:  role "shop" does not exist', "has no user shop", False),
        ('FATAL:  database "orders" does not exist', "has no database orders", True),
        ('could not translate host name "db.internal" to address: Name or service not known', "does not resolve", True),
        ("Connection refused\n\tIs the server running on that host", "nothing listens on db.internal:5433", True),
        ("timeout expired", "no answer from db.internal:5433", True),
        ("No route to host", "no route to db.internal:5433", True),
        ("FATAL:  no pg_hba.conf entry for host", "does not admit user shop", False),
        ("server does not support SSL, but SSL was required", "TLS with PostgreSQL at db.internal:5433 failed", False),
        ("FATAL:  sorry, too many clients already", "no free connection", False),
        ("FATAL:  the database system is starting up", "not accepting connections now", True),
        ("FATAL:  unsupported startup parameter: options", "is a connection pooler", False),
        ("FATAL:  no such database: orders", "is a connection pooler", False),
        ("something new with Se/cret1 in it\nmore", "something new with ******** in it", False),
        ("", "no reason given", False),
    ],
)
def test_explain_connect(text: str, part: str, bearable: bool) -> None:
    sentence, borne = explain_connect(text, URL)
    assert part in sentence
    assert sentence.startswith("Database orders: ")
    assert "cret1" not in sentence
    assert borne is bearable
