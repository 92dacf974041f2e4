# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Questions to a name server, and answers with their compressed names."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _dns_query
from ansible_collections.quayside.web.plugins.module_utils._dns_message import DnsError, parse, question

NAME = b"\x01a\x04test\x00"
BACK = b"\xc0\x0c"


def record(kind: int, data: bytes, name: bytes = BACK) -> bytes:
    return name + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def answer(*records: bytes, number: int = 7, flags: int = 0x8180) -> bytes:
    return struct.pack("!HHHHHH", number, flags, 1, len(records), 0, 0) + NAME + b"\0\1\0\1" + b"".join(records)


V4 = record(1, ipaddress.ip_address("192.0.2.1").packed)
V6 = record(28, ipaddress.ip_address("2001:db8::1").packed, NAME)
ALIAS = record(5, b"\x01b\xc0\x0e")
CAA = record(257, b"\0\x05Issueca.test")


def test_a_question() -> None:
    assert question("a.test.", "A", 7) == struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + NAME + b"\0\1\0\1"


@pytest.mark.parametrize(
    ("message", "kind", "records"),
    [
        (answer(V4), "A", ("192.0.2.1",)),
        (answer(ALIAS, V4), "A", ("192.0.2.1",)),
        (answer(V6), "AAAA", ("2001:db8::1",)),
        (answer(CAA), "CAA", ("issue ca.test",)),
        (answer(), "A", ()),
        (answer(flags=0x8183), "A", ()),
    ],
    ids=["an address", "behind an alias", "IPv6", "CAA", "no record", "no such name"],
)
def test_an_answer(message: bytes, kind: str, records: tuple[str, ...]) -> None:
    assert parse(message, kind, 7).records == records


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (answer(number=8), "another question"),
        (answer(flags=0x8182), "failed with code 2"),
        (answer(V4)[:-3], "can't be read"),
        (b"\0\7", "can't be read"),
    ],
    ids=["of another question", "server failure", "cut off", "no header"],
)
def test_an_answer_of_no_use(message: bytes, words: str) -> None:
    with pytest.raises(DnsError, match=words):
        parse(message, "A", 7)


@pytest.fixture
def server() -> Iterator[str]:
    """A name server that knows one address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(5)

        def serve() -> None:
            asked, client = udp.recvfrom(512)
            udp.sendto(answer(V4, number=struct.unpack_from("!H", asked)[0]), client)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{udp.getsockname()[1]}"
        thread.join()


def test_the_next_server_is_asked_where_one_is_silent(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_dns_query, "TIMEOUT", 0.5)
    assert _dns_query.records("a.test", "A", ["127.0.0.1:1", server]) == ("192.0.2.1",)


@pytest.mark.parametrize(("servers", "words"), [([], "no server to ask"), (["127.0.0.1:1"], "does not answer")])
def test_nobody_to_ask(servers: list[str], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_dns_query, "TIMEOUT", 0.2)
    with pytest.raises(DnsError, match=words):
        _dns_query.records("a.test", "A", servers)
