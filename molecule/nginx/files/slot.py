# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""An app's stand-in: says which port it is and what it was asked, and echoes on upgraded connections."""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            while line := self.rfile.readline():
                self.wfile.write(line)
            self.close_connection = True
            return
        if self.path == "/slow":
            time.sleep(3)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = {"port": self.server.server_port, "path": self.path, "headers": dict(self.headers.items())}
        body = json.dumps(asked | {"filling": "x" * 4096 if self.path == "/big" else ""}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Frame-Options", "ALLOW-FROM https://evil.test")
        self.send_header("X-Powered-By", "a stand-in")
        self.send_header("X-Quayside-Slot", "a lie")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
