# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _pg_programs
from ansible_collections.quayside.web.plugins.module_utils._pg_decode import (
    Counter,
    decode,
    dumped_tables,
    python_codec,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError

HEAD = b"--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\nSET client_encoding = 'UTF8';\n"


def script(*parts: str, encoding: str = "utf-8") -> bytes:
    return HEAD + "".join(f"\n{part}\n\n" for part in parts).encode(encoding)


CASES = {
    "rows": (script("COPY public.t (a, b) FROM stdin;\n1\tx\n2\ty\n\\."), {("public", "t"): 2}),
    "no rows": (script("COPY public.t (a) FROM stdin;\n\\."), {("public", "t"): 0}),
    "no columns": (script("COPY public.t  FROM stdin;\n\n\n\n\\."), {("public", "t"): 3}),
    "empty texts": (script("COPY public.t (a) FROM stdin;\n\n\n\\."), {("public", "t"): 2}),
    "an end that is data": (
        script("COPY public.t (a) FROM stdin;\n\\\\.\nx\\n\\\\.\\n\n\\.\\.\n\\."),
        {("public", "t"): 3},
    ),
    "two tables, one twice": (
        script(
            "COPY public.hp (m) FROM stdin;\n1\n\\.",
            "COPY public.u (a) FROM stdin;\n1\n\\.",
            "COPY public.hp (m) FROM stdin;\n2\n\\.",
        ),
        {("public", "hp"): 2, ("public", "u"): 1},
    ),
    "quoted names": (
        script('COPY "we""ird.S x"."Ta""b.le (a) FROM stdin;" ("t) FROM stdin;", b) FROM stdin;\n1\n\\.'),
        {('we"ird.S x', 'Ta"b.le (a) FROM stdin;'): 1},
    ),
    "a line end in a name": (
        script('COPY public."a\nCOPY b.c FROM stdin;\n" (a) FROM stdin;\n1\n\\.'),
        {("public", "a\nCOPY b.c FROM stdin;\n"): 1},
    ),
    "a statement that only begins so": (
        script("COPY that is none;", "COPY public.t (a) FROM stdin;\n1\n\\."),
        {("public", "t"): 1},
    ),
    "letters": (script('COPY public."Größe" (a) FROM stdin;\n1\n\\.'), {("public", "Größe"): 1}),
    "large objects": (script("SELECT pg_catalog.lowrite(0, '\\x00ff');"), {}),
}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 64, 1 << 20])
@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_rows_are_counted_wherever_the_pieces_end(
    text: bytes, expected: dict[tuple[str, str], int], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "only begins" in str(text) or b"that is none" in text:
        text += b" " * (1 << 21)  # what may be the begin of a long statement is waited for
    counter = Counter()
    for start in range(0, len(text), max(size, len(text) // 3000)):
        counter.feed(text[start : start + max(size, len(text) // 3000)])
    assert counter.result() == expected


def test_names_have_the_encoding_of_the_dump() -> None:
    counter = Counter()
    text = script('COPY public."Größe" (a) FROM stdin;\n1\n\\.', encoding="latin-1")
    counter.feed(text.replace(b"'UTF8'", b"'LATIN1'"))
    assert counter.result() == {("public", "Größe"): 1}


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("UTF8", "utf-8"),
        ("LATIN1", "iso8859-1"),
        ("WIN1252", "cp1252"),
        ("KOI8R", "koi8-r"),
        ("EUC_JP", "euc_jp"),
        ("SQL_ASCII", "iso8859-1"),
        ("MULE_INTERNAL", "utf-8"),
    ],
)
def test_encodings(encoding: str, expected: str) -> None:
    assert python_codec(encoding) == expected


def test_a_script_that_ends_within_data_is_cut() -> None:
    counter = Counter()
    counter.feed(HEAD + b"\nCOPY public.t (a) FROM stdin;\n1\n2\n")
    with pytest.raises(BackupError, match=r"ends in the middle of public\.t"):
        counter.result()


def test_memory_does_not_grow_with_the_dump() -> None:
    counter = Counter()
    counter.feed(HEAD + b"\nCOPY public.t (a) FROM stdin;\n")
    chunk = (b"some text of a row\t42\n" * 50_000)[: 1 << 20]
    tracemalloc.start()
    for _time in range(200):
        counter.feed(chunk)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20
    counter.feed(b"\n\\.\n")
    assert counter.result()["public", "t"] == 200 * chunk.count(b"\n") + 1


@pytest.fixture
def dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that the stand-in for pg_restore prints."""
    program = tmp_path / "15/bin/pg_restore"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nfor path; do :; done\ncat "$path"\ngrep -q cut "$path" && exit 3\nexit 0\n')
    program.chmod(0o755)
    monkeypatch.setattr(_pg_programs, "CLIENTS", tmp_path)
    return tmp_path / "dump.pgc"


def test_a_dump_is_read_to_its_end(dump: Path) -> None:
    dump.write_bytes(script("COPY public.t (a) FROM stdin;\n" + "row\n" * 300_000 + "\\."))
    assert decode(dump, 15) == {("public", "t"): 300_000}


def test_the_exit_status_counts_though_all_was_printed(dump: Path) -> None:
    dump.write_bytes(script("COPY public.t (a) FROM stdin;\ncut\n\\."))
    with pytest.raises(BackupError, match="The dump does not decode: it said nothing"):
        decode(dump, 15)


def test_the_list_names_the_tables_with_data(dump: Path) -> None:
    dump.write_text(
        ";\n; Archive created\n215; 1259 16389 TABLE public t app\n3318; 0 16389 TABLE DATA public t app\n"
        "3319; 0 16390 TABLE DATA public TABLE DATA x app\n3320; 0 0 SEQUENCE SET public TABLE DATA app\n"
    )
    assert dumped_tables(dump, 15) == [16389, 16390]
