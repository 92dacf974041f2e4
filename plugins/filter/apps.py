# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Filters that check the list `quayside_apps` and derive the roles' variables from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.quayside.web.plugins.module_utils import _apps, _image_archive


def _with_filter_error(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any) -> Any:
        try:
            return function(*args)
        except _apps.AppError as error:
            raise AnsibleFilterError(str(error)) from error

    return wrapped


class FilterModule:
    """The filters of this file, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "app_problems": _apps.problems,
            "app_list": _with_filter_error(_apps.normal),
            "app_sites": _with_filter_error(_apps.sites),
            "app_certificates": _with_filter_error(_apps.certificates),
            "app_passwords": _with_filter_error(_apps.passwords),
            "app_databases": _with_filter_error(_apps.databases),
            "app_archive_ids": _image_archive.ids,
            "app_archive_problems": lambda apps: list(filter(None, map(_image_archive.problem, apps))),
            "app_public": _apps.public,
            "app_secrets": _apps.secrets,
        }
