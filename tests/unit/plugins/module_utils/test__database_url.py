# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrl, DatabaseUrlError, parse

SECRET = "s3ntinel"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h:5433/d", DatabaseUrl("h", 5433, "u", "p", "d")),
        ("postgres://u:p@h/d", DatabaseUrl("h", 5432, "u", "p", "d")),
        ("postgresql+psycopg://u:p@h/d", DatabaseUrl("h", 5432, "u", "p", "d")),
        ("postgresql+asyncpg://u:p@h/d?ssl=require", DatabaseUrl("h", 5432, "u", "p", "d", {"sslmode": "require"})),
        ("postgresql://u:p@h/d?ssl=true", DatabaseUrl("h", 5432, "u", "p", "d", {"sslmode": "require"})),
        ("postgresql://u@h/d", DatabaseUrl("h", 5432, "u", "", "d")),
        (" postgresql://u:p@h/d\n", DatabaseUrl("h", 5432, "u", "p", "d")),
        ("postgresql://u:p@h:/d", DatabaseUrl("h", 5432, "u", "p", "d")),
        ("postgresql://u%40x:p%3A%2F%40%25@h/d%20b", DatabaseUrl("h", 5432, "u@x", "p:/@%", "d b")),
        ("postgresql://u:a#b@h/d", DatabaseUrl("h", 5432, "u", "a#b", "d")),
        ("postgresql://u:a@b:c@h/d", DatabaseUrl("h", 5432, "u", "a@b:c", "d")),
        ("postgresql://u:p@[2001:db8::1]:6000/d", DatabaseUrl("2001:db8::1", 6000, "u", "p", "d")),
        ("postgresql://u:p@[::1]/d", DatabaseUrl("::1", 5432, "u", "p", "d")),
        ("postgresql://u:p@%2Frun%2Fpostgresql/d", DatabaseUrl("/run/postgresql", 5432, "u", "p", "d")),
        ("postgresql://u@/d?host=/run/pg&port=5433", DatabaseUrl("/run/pg", 5433, "u", "", "d")),
        (
            "postgresql://h/?user=u&password=p&dbname=d&port=6432",
            DatabaseUrl("h", 6432, "u", "p", "d"),
        ),
        (
            "postgresql://u:p@h/d?sslmode=verify-full&sslrootcert=%2Fca.pem&schema=public",
            DatabaseUrl(
                "h", 5432, "u", "p", "d", {"sslmode": "verify-full", "sslrootcert": "/ca.pem", "schema": "public"}
            ),
        ),
        ("postgresql://u:p@h/d?options=-c%20x%3Dy%40z", DatabaseUrl("h", 5432, "u", "p", "d", {"options": "-c x=y@z"})),
    ],
)
def test_parse(url: str, expected: DatabaseUrl) -> None:
    assert parse(url) == expected


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "empty"),
        (None, "empty"),
        (f"u:{SECRET}@h/d", "no scheme"),
        (f"mysql://u:{SECRET}@h/d", "scheme is mysql"),
        (f"postgresql+{SECRET}://u:p@h/d", "driver"),
        (f"postgresql://u:{SECRET}@/d", "names no host"),
        (f"postgresql://:{SECRET}@h/d", "names no user"),
        ("postgresql://h/d", "names no user"),
        (f"postgresql://u:{SECRET}@h", "names no database"),
        (f"postgresql://u:{SECRET}@h/", "names no database"),
        (f"postgresql://u:{SECRET}@h:0/d", "port"),
        (f"postgresql://u:{SECRET}@h:65536/d", "port"),
        (f"postgresql://u:p@h:{SECRET}/d", "port"),
        (f"postgresql://u:p@h:\uff15\uff14/{SECRET}", "port"),
        (f"postgresql://u:x/{SECRET}@h/d", "unescaped"),
        (f"postgresql://u:x?{SECRET}@h/d", "unescaped"),
        (f"postgresql://u:{SECRET}@h1,h2/d", "several hosts"),
        (f"postgresql://u:{SECRET}@h1:1,h2:2/d", "several hosts"),
        (f"postgresql://u:{SECRET}@2001:db8::1/d", "brackets"),
        (f"postgresql://u:{SECRET}@[::1/d", "closing bracket"),
        (f"postgresql://u:{SECRET}@h/d/e", "database name"),
        (f"postgresql://u:{SECRET}@h/d?sslmode=maybe", "sslmode"),
        (f"postgresql://u:{SECRET}%0A@h/d", "password"),
        (f"postgresql://u:{SECRET}%ff@h/d", "password"),
    ],
)
def test_refusals_name_the_part_and_hide_the_secret(url: str, words: str) -> None:
    with pytest.raises(DatabaseUrlError) as caught:
        parse(url)
    message = str(caught.value)
    assert words in message
    assert SECRET not in message
    assert message.endswith(".") and "\n" not in message


def test_nothing_shows_the_password() -> None:
    url = parse(f"postgresql://u:{SECRET}@[::1]:5433/d?sslpassword={SECRET}")
    assert url.redacted == "postgresql://u:***@[::1]:5433/d"
    assert SECRET not in repr(url) + str(url) + repr(url.libpq_env("/p"))


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("postgresql://u:p@h:5433/d", "h:5433:*:u:p\n"),
        ("postgresql://u:a%3Ab%5Cc@[::1]/d", "\\:\\:1:5432:*:u:a\\:b\\\\c\n"),
        ("postgresql://u:p@%2Frun%2Fpg/d", "*:5432:*:u:p\n"),
    ],
)
def test_pgpass_line(url: str, line: str) -> None:
    assert parse(url).pgpass_line() == line


def test_libpq_env_and_connect_kwargs() -> None:
    url = parse("postgresql://u:p@h:5433/d?sslmode=require&schema=public&connect_timeout=5")
    assert url.libpq_env("/run/pass") == {
        "PGHOST": "h",
        "PGPORT": "5433",
        "PGUSER": "u",
        "PGDATABASE": "d",
        "PGSSLMODE": "require",
        "PGCONNECT_TIMEOUT": "5",
        "PGPASSFILE": "/run/pass",
    }
    assert "PGPASSFILE" not in url.libpq_env()
    assert url.connect_kwargs() == {
        "host": "h",
        "port": 5433,
        "user": "u",
        "password": "p",
        "dbname": "d",
        "sslmode": "require",
        "connect_timeout": "5",
    }
