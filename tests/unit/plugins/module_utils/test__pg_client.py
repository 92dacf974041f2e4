# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_client import (
    check_compression,
    choose_compression,
    choose_major,
    compress_argument,
    explain,
    quote_table,
    table_pattern,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError

FAILED = 'psql: error: connection to server at "127.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("installed", "server", "expected"),
    [([15], 15, 15), ([13, 15, 17], 14, 15), ([17, 16], 12, 16)],
)
def test_choose_major(installed: list[int], server: int, expected: int) -> None:
    assert choose_major(installed, server) == expected


@pytest.mark.parametrize(
    ("installed", "server", "words"),
    [
        ([15], 17, "postgresql-client-17"),
        ([], 16, "no client is installed"),
        ([15], 9, "12 or later"),
    ],
)
def test_no_fitting_client(installed: list[int], server: int, words: str) -> None:
    with pytest.raises(BackupError, match=words):
        choose_major(installed, server)


@pytest.mark.parametrize(
    ("compression", "client", "server", "expected", "argument"),
    [
        ("auto", 15, 15, "gzip:1", "--compress=1"),
        ("auto", 17, 15, "gzip:1", "--compress=gzip:1"),
        ("auto", 17, 17, "zstd:3", "--compress=zstd:3"),
        ("none", 15, 15, "none", "--compress=0"),
        ("gzip:9", 15, 15, "gzip:9", "--compress=9"),
        ("lz4:1", 16, 12, "lz4:1", "--compress=lz4:1"),
    ],
)
def test_compression(compression: str, client: int, server: int, expected: str, argument: str) -> None:
    assert choose_compression(compression, client, server) == expected
    assert compress_argument(expected, client) == argument


@pytest.mark.parametrize("compression", ["zstd", "gzip:0", "zstd:23", "7", "", "auto;rm", None])
def test_bad_compression(compression: str) -> None:
    with pytest.raises(BackupError, match="compression is"):
        check_compression(compression)


def test_new_compression_with_an_old_client() -> None:
    with pytest.raises(BackupError, match="needs 16 or later"):
        choose_compression("zstd:3", 15, 15)


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (
            FAILED + 'FATAL:  password authentication failed for user "u"\n' + FAILED,
            'password authentication failed for user "u"; check the user and the password in its URL',
        ),
        (
            FAILED + "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
            "Connection refused; check host and port in its URL, and that PostgreSQL listens there",
        ),
        (
            "pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout\npg_dump: detail: Query was",
            "canceling statement due to lock timeout; run it when no migration holds a lock, "
            "or raise lock_wait_timeout",
        ),
        (
            "pg_restore: error: could not read from input file: end of file\n",
            "could not read from input file: end of file",
        ),
        ("Killed\n", "Killed"),
        ("", "it said nothing"),
    ],
)
def test_explain(stderr: str, expected: str) -> None:
    assert explain(stderr) == expected


def test_explain_hides_the_secret() -> None:
    assert explain("psql: error: bad s3ntinel here", "s3ntinel") == "bad *** here"


@pytest.mark.parametrize(
    ("pattern", "schema", "name"),
    [
        ("log", None, "^(log)$"),
        ("Public.LOG_*", "^(public)$", "^(log_.*)$"),
        ("a?c$", None, r"^(a.c\$)$"),
        ('"We""ird.Ta*ble"', None, r'^(We"ird\.Ta\*ble)$'),
        ('"S x".t[0-9]', "^(S x)$", "^(t[0-9])$"),
        ('app."Order"*', "^(app)$", "^(Order.*)$"),
    ],
)
def test_patterns_mean_what_pg_dump_makes_of_them(pattern: str, schema: str | None, name: str) -> None:
    assert table_pattern(pattern) == (schema, name)


@pytest.mark.parametrize("pattern", ["", "public.", "db.public.log", '"log'])
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(BackupError, match="The table pattern"):
        table_pattern(pattern)


@pytest.mark.parametrize(
    ("schema", "name", "expected"),
    [("public", "t", '"public"."t"'), ("", "t", '"t"'), ('a"b', "c.d; --", '"a""b"."c.d; --"')],
)
def test_names_are_quoted(schema: str, name: str, expected: str) -> None:
    assert quote_table(schema, name) == expected
