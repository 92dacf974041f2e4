# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""One line an event, in UTC, on stdout."""

from __future__ import annotations

import logging
import sys
import time


class _NotHealth(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return " /health " not in record.getMessage().replace("?", " ")


def setup(level: str) -> None:
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn.access").addFilter(_NotHealth())
