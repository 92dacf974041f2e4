# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a deploy or a rollback is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """What is asked for, as the module's options name it."""

    name: str
    app: Mapping[str, Any] | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    database_url: str | None = field(default=None, repr=False)
    registry: Mapping[str, str] | None = field(default=None, repr=False)
    slot_port: int | None = None
    release: str | None = None
    allow_schema_ahead: bool = False
    verify_port: int | None = 443
    keep_releases: int = 3
    min_free: int = 0
    """Bytes that must be free where Docker keeps its images."""
    backup_root: str | None = None
    by: str = ""
    reason: str = ""
