# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the local Docker engine says, asked over its socket: needs no SDK, and costs milliseconds. Only I/O."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

SOCKET = Path("/run/docker.sock")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def get(path: str, *, at: Path = SOCKET, timeout: float = 20) -> Any:
    """The answer to one GET, or None where no engine answers."""
    # systemd would start an engine that is not running for whoever opens its socket; a question does not.
    connection = _UnixConnection(at, timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return json.loads(text) if answer.status == 200 else None


def answers(at: Path) -> bool:
    """Is the engine behind this socket up?"""
    return get("/info", at=at, timeout=5) is not None
