# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""One request over HTTP/3: `http3.py ADDRESS NAME PATH`; prints the status and the body."""

from __future__ import annotations

import asyncio
import ssl
import sys
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration


class Client(QuicConnectionProtocol):
    """A connection that keeps what its one stream brings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._http = H3Connection(self._quic)
        self.status, self.body, self.done = "", b"", asyncio.Event()

    def ask(self, name: str, path: str) -> None:
        head = {":method": "GET", ":scheme": "https", ":authority": name, ":path": path, "user-agent": "http3.py"}
        stream = self._quic.get_next_available_stream_id()
        self._http.send_headers(
            stream, [(key.encode(), value.encode()) for key, value in head.items()], end_stream=True
        )
        self.transmit()

    def quic_event_received(self, event: Any) -> None:
        for received in self._http.handle_event(event):
            if isinstance(received, HeadersReceived):
                self.status = dict(received.headers)[b":status"].decode()
            elif isinstance(received, DataReceived):
                self.body += received.data
            if getattr(received, "stream_ended", False):
                self.done.set()


async def main(address: str, name: str, path: str) -> None:
    settings = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=name)
    settings.verify_mode = ssl.CERT_NONE
    async with connect(address, 443, configuration=settings, create_protocol=Client) as client:
        client.ask(name, path)
        await client.done.wait()
        print(client.status, client.body.decode())


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 8))
