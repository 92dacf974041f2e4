# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Questions to a name server and its answers, as far as certificates need them: A, AAAA and CAA. No I/O."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

TYPES = {"A": 1, "AAAA": 28, "CAA": 257}
NXDOMAIN = 3


class DnsError(Exception):
    """A question without a usable answer, in words that follow "DNS"."""


@dataclass(frozen=True)
class Answer:
    """The records of one type: addresses as text, CAA as "tag value"."""

    records: tuple[str, ...]
    truncated: bool = False


def question(name: str, kind: str, number: int) -> bytes:
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + encoded + struct.pack("!HH", TYPES[kind], 1)


def parse(message: bytes, kind: str, number: int) -> Answer:
    """Read the answer to one question.

    Raises:
        DnsError: it is not one, or the server could not tell.
    """
    try:
        return _parse(message, kind, number)
    except (struct.error, IndexError) as error:
        raise DnsError("gave an answer that can't be read") from error


def _parse(message: bytes, kind: str, number: int) -> Answer:
    got, flags, questions, answers = struct.unpack_from("!HHHH", message)
    if got != number:
        raise DnsError("gave an answer to another question")
    code = flags & 0xF
    if code == NXDOMAIN:
        return Answer(())
    if code:
        raise DnsError(f"failed with code {code}")
    offset = 12
    for _record in range(questions):
        offset = _after_name(message, offset) + 4
    records = []
    for _record in range(answers):
        offset = _after_name(message, offset)
        found, _class, _ttl, length = struct.unpack_from("!HHIH", message, offset)
        data = message[offset + 10 : offset + 10 + length]
        offset += 10 + length
        if found == TYPES[kind]:
            records.append(_text(kind, data))
    return Answer(tuple(records), bool(flags & 0x0200))


def _after_name(message: bytes, offset: int) -> int:
    while True:
        length = message[offset]
        if length & 0xC0:
            return offset + 2
        offset += 1 + length
        if not length:
            return offset


def _text(kind: str, data: bytes) -> str:
    if kind == "CAA":
        size = data[1]
        return f"{data[2 : 2 + size].decode('ascii', 'replace').lower()} {data[2 + size :].decode('ascii', 'replace')}"
    if len(data) != (4 if kind == "A" else 16):
        raise IndexError
    return str(ipaddress.ip_address(data))
