# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""The users of an app, as one process on another machine: requests at a constant rate, WebSockets, long requests.

bench/load.py runs it in a container, hence only the standard library: `python3 -c SOURCE SETTINGS`. It prints one JSON
array for each request that has ended, `[due, seconds, kind, error, release]`, and ends when its standard input does.
Requests are sent when they are due, whether or not those before them have been answered; their time counts from then.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import ssl
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
TIMEOUT = 10.0
#: Most connections are kept alive, as browsers and proxies do; every fourth request comes from somebody new.
TURNS = ("get kept", "post kept", "get kept", "post fresh", "get kept", "post kept", "get kept", "get fresh")


class Failed(Exception):
    """A user saw something that is not the expected answer."""


#: What a broken answer may end with; TimeoutError is an OSError.
BROKEN = (OSError, EOFError, ValueError, LookupError, struct.error, asyncio.LimitOverrunError, Failed)


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    reusable: bool


@dataclass
class Client:
    """All users of one site."""

    address: str
    name: str
    ca: str
    rate: float
    websockets: int
    slow_seconds: float
    prefix: str
    idle: list[Stream] = field(default_factory=list)
    account: int = 0
    numbers: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)
    running: set[asyncio.Task[None]] = field(default_factory=set)
    over: bool = False

    def __post_init__(self) -> None:
        self.tls = ssl.create_default_context(cadata=self.ca)

    async def connect(self) -> Stream:
        return await asyncio.open_connection(
            self.address, 443, ssl=self.tls, server_hostname=self.name, ssl_shutdown_timeout=1
        )

    def kept(self) -> Stream | None:
        """A connection from before. nginx closes those that nobody used for long, and no client uses a closed one."""
        while self.idle:
            reader, writer = self.idle.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return reader, writer
            writer.close()
        return None

    async def exchange(self, stream: Stream, method: str, path: str, body: bytes = b"") -> Answer:
        """Send a request and read the whole answer."""
        reader, writer = stream
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.name}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"\r\n" + body)
        status, headers = await read_head(reader)
        if "content-length" not in headers:
            raise Failed(f"status {status} without Content-Length")
        content = await reader.readexactly(int(headers["content-length"]))
        return Answer(status, content, headers.get("connection", "") != "close")

    async def ask(self, kind: str) -> tuple[str, bytes]:
        """One request of a user; return what was wrong with the answer, if anything, and the body."""
        method, _space, life = kind.partition(" ")
        stream = (self.kept() if life == "kept" else None) or await self.connect()
        try:
            if method == "post":
                entry = {"amount": "1.00", "reference": f"{self.prefix}-{self.numbers()}"}
                path, body = f"/api/v1/accounts/{self.account}/entries", json.dumps(entry).encode()
                answer = await self.exchange(stream, "POST", path, body)
                # 200 would say that the same reference was there before: somebody has sent the request twice.
                wrong = "" if answer.status == 201 else f"status {answer.status}"
            else:
                answer = await self.exchange(stream, "GET", "/health")
                wrong = "" if answer.status == 200 else f"status {answer.status}"
        except BaseException:
            stream[1].close()
            raise
        if life == "kept" and answer.reusable:
            self.idle.append(stream)
        else:
            stream[1].close()
        return wrong + (f": {answer.body[:120]!r}" if wrong else ""), answer.body

    async def request(self, kind: str, due: float) -> None:
        error, release = "", ""
        try:
            async with asyncio.timeout(TIMEOUT):
                error, body = await self.ask(kind)
            if kind.startswith("get") and not error:
                release = str(json.loads(body)["release"])
        except BROKEN as failure:
            error = told(failure)
        tell(due, kind, error, release)

    async def slow(self) -> None:
        """Long requests, one after the other."""
        while not self.over:
            due, error, release = time.time(), "", ""
            try:
                async with asyncio.timeout(self.slow_seconds + TIMEOUT):
                    stream = await self.connect()
                    with contextlib.closing(stream[1]):
                        answer = await self.exchange(stream, "GET", f"/slow?seconds={self.slow_seconds}")
                error = "" if answer.status == 200 else f"status {answer.status}"
                release = str(json.loads(answer.body).get("release", ""))
            except BROKEN as failure:
                error = told(failure)
            tell(due, "slow", error, release)
            await asyncio.sleep(0.2 if error else 0)

    async def websocket(self) -> None:
        """A user who stays connected, and connects again when told that the server goes away."""
        while not self.over:
            due, error, release = time.time(), "", ""
            try:
                async with self.upgraded() as (reader, writer):
                    async for opcode, payload in frames(reader):
                        if opcode == 1 and not release:
                            release = str(json.loads(payload)["release"])
                            tell(due, "websocket open", "", release)
                        elif opcode == 9:
                            writer.write(frame(10, payload))
                        elif opcode == 8:
                            code = struct.unpack(">H", payload[:2])[0]
                            error = "" if code == 1001 else f"closed with {code}"
                            writer.write(frame(8, payload[:2]))
                            break
            except BROKEN as failure:
                error = told(failure)
            tell(due, "websocket", error, release)
            await asyncio.sleep(0.2 if error else 0)

    @contextlib.asynccontextmanager
    async def upgraded(self) -> AsyncIterator[Stream]:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await self.connect()
        with contextlib.closing(writer):
            writer.write(
                f"GET /ws?tick=0.5 HTTP/1.1\r\nHost: {self.name}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            async with asyncio.timeout(TIMEOUT):
                status, _headers = await read_head(reader)
            if status != 101:
                raise Failed(f"status {status} instead of an upgrade")
            yield reader, writer

    async def open_account(self) -> None:
        """What the posts are booked on."""
        async with asyncio.timeout(TIMEOUT):
            stream = await self.connect()
            with contextlib.closing(stream[1]):
                answer = await self.exchange(
                    stream, "POST", "/api/v1/accounts", json.dumps({"name": self.prefix}).encode()
                )
        if answer.status != 201:
            raise Failed(f"no account: status {answer.status}: {answer.body[:200]!r}")
        self.account = int(json.loads(answer.body)["id"])

    def begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def until(self, end: asyncio.Event) -> None:
        await self.open_account()
        print(json.dumps({"account": self.account}), flush=True)
        for _ in range(self.websockets):
            self.begin(self.websocket())
        if self.slow_seconds:
            self.begin(self.slow())
        due = time.time()
        for kind in itertools.cycle(TURNS):
            if end.is_set():
                break
            self.begin(self.request(kind, due))
            due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - time.time()))
        self.over = True
        # What lives long is not waited for, and not told of either.
        await asyncio.wait([asyncio.create_task(asyncio.sleep(0)), *self.running], timeout=1)


def told(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {failure}".strip(": ")


def tell(due: float, kind: str, error: str, release: str) -> None:
    print(json.dumps([round(due, 4), round(time.time() - due, 4), kind, error, release]), flush=True)


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = text.split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _colon, value in pairs}


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """The frames of a WebSocket; a server that says nothing for long is gone."""
    while True:
        async with asyncio.timeout(TIMEOUT):
            first, second = await reader.readexactly(2)
            length = second & 127
            if length == 126:
                length = struct.unpack(">H", await reader.readexactly(2))[0]
            yield first & 15, await reader.readexactly(length)


def frame(opcode: int, payload: bytes) -> bytes:
    """A short frame from a client, which has to be masked; a mask of zeros is one too."""
    return bytes([0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0]) + payload


async def main() -> None:
    client = Client(**json.loads(sys.argv[1]))
    end = asyncio.Event()

    def read() -> None:
        if not os.read(0, 4096):
            end.set()

    asyncio.get_running_loop().add_reader(0, read)
    await client.until(end)


if __name__ == "__main__":
    asyncio.run(main())
