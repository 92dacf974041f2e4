# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""An app's stand-in: echoes requests and upgraded connections, streams events, and sends CORS headers of its own."""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Request lines in the order in which they came: a smuggled request would be one too many.
SEEN: list[str] = []


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path != "/seen":
            SEEN.append(f"{self.command} {self.path}")
        if self.headers.get("Upgrade") == "websocket":
            self.upgrade()
        elif self.path.startswith("/events"):
            self.events()
        else:
            self.echo()

    do_POST = do_PUT = do_DELETE = do_OPTIONS = do_GET

    def upgrade(self) -> None:
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        while line := self.rfile.readline():
            self.wfile.write(line)
        self.close_connection = True

    def events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(3):
            self.wfile.write(f"data: {number}\n\n".encode())
            self.wfile.flush()
            time.sleep(0.7)
        self.close_connection = True

    def echo(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = int(self.path.rpartition("/")[2]) if self.path.startswith("/status/") else 200
        told = {"port": self.server.server_port, "path": self.path, "headers": dict(self.headers.items())}
        told |= {"body": body.decode("utf-8", "replace"), "seen": SEEN if self.path == "/seen" else []}
        answer = json.dumps(told | {"filling": "x" * 4096 if self.path == "/big" else ""}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Access-Control-Allow-Origin", "https://evil.test")
        self.send_header("Access-Control-Allow-Credentials", "true")
        self.send_header("X-Quayside-Release", "r1")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
