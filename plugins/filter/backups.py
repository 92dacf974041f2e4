# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Filters that turn pg_backup_databases into what modules and packages of the role pg_backup need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.quayside.web.plugins.module_utils import _backup_role


class FilterModule:
    """The filters of this file, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "backup_drills_here": _backup_role.drills_here,
            "backup_packages": _backup_role.packages,
            "backup_settings": _backup_role.settings,
        }
