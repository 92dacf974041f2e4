# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""How the settings of a host want a dump to be taken: by its timers, by backup.yml, and before a migration."""

from __future__ import annotations

from pathlib import Path

from ._pg_backup import Options
from ._pg_config import PATH, Config, Database, from_json
from ._pg_repository import BackupError


def options_of(config: Config, database: Database, *, allow_other_cluster: bool = False) -> Options:
    """How the settings want a dump to be taken."""
    return Options(
        compression=config.compression,
        lock_wait_timeout=config.lock_wait_timeout,
        include=database.include,
        exclude=database.exclude,
        hashed=database.hashed,
        recipients=database.recipients,
        shrink_percent=database.shrink_percent,
        allow_other_cluster=allow_other_cluster,
    )


def configured_options(name: str, path: str = PATH) -> Options:
    """How this host's own settings want a dump of a name to be taken; the defaults where it has none for it.

    For a dump outside the timers, such as one before a migration: what is encrypted at night is never plain by day.
    """
    try:
        config = from_json(Path(path).read_text("utf-8"))
    except FileNotFoundError:
        return Options()
    except OSError as error:
        raise BackupError(f"Cannot read {path}: {error.strerror}, which says how {name} is to be dumped.") from None
    found = [database for database in config.databases if database.name == name]
    return options_of(config, found[0]) if found else Options()
