# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Serve the app: `python -m ledger`."""

from __future__ import annotations

import logging
import signal
import socket
from types import FrameType

import uvicorn

from ledger import logs, settings
from ledger.app import create_app
from ledger.live import Sockets

log = logging.getLogger("ledger")


class Server(uvicorn.Server):
    """uvicorn, which on SIGTERM also tells its WebSockets 1001 (it says 1012 by itself) and then exits with 0."""

    def __init__(self, config: uvicorn.Config, sockets: Sockets, *, deaf: bool) -> None:
        super().__init__(config)
        self._sockets = sockets
        self._deaf = deaf

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._deaf and sig == signal.SIGTERM:
            log.warning("ignoring SIGTERM, as LEDGER_FAULT asks")
        elif self.should_exit:
            super().handle_exit(sig, frame)
        else:
            self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._sockets.goodbye()
        await super().shutdown(sockets)


def main() -> None:
    config = settings.load()
    logs.setup(config.log_level)
    config.fault.at_start()
    log.info("ledger %s, release %s, environment %s", config.ledger_version, config.quayside_release, config.app_env)
    app = create_app(config)
    server = Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            log_config=None,
            proxy_headers=True,
            forwarded_allow_ips=config.forwarded_allow_ips,
            server_header=False,
            timeout_keep_alive=config.keep_alive_seconds,
            timeout_graceful_shutdown=config.graceful_seconds,
            ws_max_size=64 * 1024,
        ),
        app.state.sockets,
        deaf=config.fault.name == "ignore_sigterm",
    )
    server.run()
    if not server.started:
        raise SystemExit(3)


if __name__ == "__main__":
    main()
