# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The options of the modules about backups, as argument specs; the doc fragment `backup_settings` describes them."""

from __future__ import annotations

from typing import Any

PERIODS = {"daily": 7, "weekly": 4, "monthly": 6, "yearly": 0}
ROOT = {"type": "path", "default": "/var/backups/quayside"}

#: One offsite target. What a type needs, and every default, its parser knows.
OFFSITE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "required": True},
    "keep": {"type": "dict", "options": {key: {"type": "int", "default": count} for key, count in PERIODS.items()}},
    "minimum": {"type": "int"},
    "read_back": {"type": "bool"},
    "timeout": {"type": "int"},
    "bandwidth": {"type": "str"},
    "path": {"type": "str"},
    "mounted": {"type": "bool"},
    "endpoint": {"type": "str"},
    "region": {"type": "str"},
    "bucket": {"type": "str"},
    "prefix": {"type": "str"},
    "access_key": {"type": "str", "no_log": True},
    "secret_key": {"type": "str", "no_log": True},
    "storage_class": {"type": "str"},
    "path_style": {"type": "bool"},
    "max_parts": {"type": "int"},
    "host": {"type": "str"},
    "port": {"type": "int"},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "key_file": {"type": "str", "no_log": False},
    "known_hosts": {"type": "raw"},
    "known_hosts_file": {"type": "str"},
}

_DATABASE: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str", "required": True, "no_log": True},
    "admin_url": {"type": "str", "no_log": True},
    "owner_url": {"type": "str", "no_log": True},
    "schedule": {"type": "str", "default": "03:00"},
    "keep": {
        "type": "dict",
        "default": {},
        "options": {key: {"type": "int", "default": count} for key, count in PERIODS.items()},
    },
    "minimum": {"type": "int", "default": 3},
    "tables": {
        "type": "dict",
        "default": {},
        "options": {
            "include": {"type": "list", "elements": "str", "default": []},
            "exclude": {"type": "list", "elements": "str", "default": []},
        },
    },
    "hashed": {"type": "bool", "default": False},
    "shrink_percent": {"type": "int", "default": 50},
    "drill": {
        "type": "dict",
        "default": {},
        "options": {
            "enabled": {"type": "bool", "default": True},
            "schedule": {"type": "str", "default": "Sun 04:30"},
            "server": {"type": "str"},
            "url": {"type": "str", "no_log": True},
            "owner_url": {"type": "str", "no_log": True},
        },
    },
    "encrypt": {
        "type": "dict",
        "options": {"recipients": {"type": "list", "elements": "str", "required": True}},
    },
    "offsite": {"type": "list", "elements": "dict", "default": [], "options": OFFSITE},
    "keep_old_days": {"type": "int", "default": 7},
}

#: All that backup.json holds.
SETTINGS: dict[str, Any] = {
    "databases": {"type": "list", "elements": "dict", "default": [], "options": _DATABASE},
    "root": ROOT,
    "compression": {"type": "str", "default": "auto"},
    "lock_wait_timeout": {"type": "int", "default": 60},
    "alerts": {
        "type": "dict",
        "default": {},
        "options": {
            "ping": {"type": "str", "no_log": True},
            "webhook": {"type": "str", "no_log": True},
            "mail": {"type": "str"},
        },
    },
    "metrics": {"type": "str", "default": ""},
}
