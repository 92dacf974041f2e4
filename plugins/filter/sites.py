# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Filters that check the list `nginx_sites`, and prepare it for the templates of the role nginx."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.quayside.web.plugins.module_utils import _edge_sites


class FilterModule:
    """The filters of this file, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "site_problems": _edge_sites.problems,
            "site_files": _edge_sites.files,
        }
