#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let a host back its databases up by itself."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_agent
short_description: Let a host back its databases up by itself
version_added: "0.1.0"
description:
  - Installs C(/usr/local/bin/quayside-backup), its settings C(/etc/quayside/backup.json) (mode 0600) and two systemd
    timers a database, C(quayside-backup@NAME.timer) for backups and C(quayside-backup-drill@NAME.timer) for restores
    for practice. The program is this collection's own backup code, which needs nothing but Python's standard library
    and psycopg2, so that nightly backups depend on no controller.
  - Timers of databases that are no longer listed are stopped and removed; their backups stay.
  - It's one module and not a list of tasks because each task costs a round trip.
author:
  - The quayside.web authors (@quayside)
extends_documentation_fragment:
  - quayside.web.backup_settings
attributes:
  check_mode:
    support: full
    description: Works on a host that has neither of these yet.
  diff_mode:
    support: full
    description: Shows URLs without their passwords, alert URLs without their paths, and no key of an offsite target.
options:
  spread:
    description: Seconds over which the timers spread their start by chance.
    type: int
    default: 300
seealso:
  - module: quayside.web.pg_backup_run
  - module: quayside.web.pg_dump_info
  - module: quayside.web.pg_dump_rotate
"""

EXAMPLES = r"""
- name: Back the ledger up every night
  quayside.web.pg_backup_agent:
    databases:
      - name: ledger
        url: "{{ ledger_database_url }}"
        schedule: "02:30"

- name: Encrypt it, copy it to a bucket, and tell someone who notices when nothing comes
  quayside.web.pg_backup_agent:
    databases:
      - name: ledger
        url: "{{ ledger_database_url }}"
        encrypt:
          recipients: [age1examplekeyofyourown]
        offsite:
          - name: bucket
            type: s3
            endpoint: https://s3.example.com
            bucket: backups
            access_key: "{{ vault_access_key }}"
            secret_key: "{{ vault_secret_key }}"
    alerts:
      ping: https://hc-ping.com/{{ vault_ping_key }}/{name}
"""

RETURN = r"""
written:
  description: Files that were written, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/quayside/backup.json]
removed:
  description: Files that were removed.
  returned: success
  type: list
  elements: str
started:
  description: Timers that were enabled and started.
  returned: success
  type: list
  elements: str
"""

import pkgutil
import stat
from contextlib import suppress
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _pg_cli as cli
from ansible_collections.quayside.web.plugins.module_utils._backup_options import SETTINGS
from ansible_collections.quayside.web.plugins.module_utils._files import make_folder, write_atomically
from ansible_collections.quayside.web.plugins.module_utils._pg_agent import (
    LIBRARY,
    Found,
    Plan,
    desired_files,
    plan,
    program,
    show,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_config import (
    Config,
    check_seconds,
    parse_config,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError
from ansible_collections.quayside.web.plugins.module_utils._pg_schedule import is_clock, schedule_error
from ansible_collections.quayside.web.plugins.module_utils._pg_units import UNITS

TIMERS = ("quayside-backup@*.timer", "quayside-backup-drill@*.timer")


def own_sources() -> dict[str, str]:
    """This collection's backup code, as it travelled here with the module."""
    package = cli.__name__.rpartition(".")[0]
    return {"__init__.py": "", **program(lambda name: (pkgutil.get_data(package, name) or b"").decode())}


def find(module: AnsibleModule, config: Config, paths: list[str]) -> Found:
    files: dict[str, tuple[str, int]] = {}
    owned = [path for pattern in TIMERS for path in Path(UNITS).glob(pattern)] + list(Path(LIBRARY).glob("*.py"))
    for path in {*paths, *map(str, owned)}:
        with suppress(FileNotFoundError):
            files[path] = (Path(path).read_text("utf-8", errors="replace"), stat.S_IMODE(Path(path).stat().st_mode))
    root = Path(config.root)
    root_mode = stat.S_IMODE(root.stat().st_mode) if root.is_dir() else None
    return Found(files, running_timers(module), root_mode, bool(config.metrics) and Path(config.metrics).is_dir())


def running_timers(module: AnsibleModule) -> frozenset[str]:
    systemctl = module.get_bin_path("systemctl")
    if systemctl is None:
        return frozenset()
    _code, output, _error = module.run_command([systemctl, "show", *TIMERS, "--property=Id,ActiveState,UnitFileState"])
    states = [dict(line.partition("=")[::2] for line in unit.splitlines()) for unit in output.split("\n\n")]
    return frozenset(
        state["Id"]
        for state in states
        if state.get("ActiveState") == "active" and state.get("UnitFileState") == "enabled"
    )


def check_calendars(module: AnsibleModule, config: Config) -> None:
    """Ask systemd whether it understands each schedule that is more than a clock time."""
    analyze = module.get_bin_path("systemd-analyze")
    if analyze is None:
        return
    for database in config.databases:
        schedules = {"schedule": database.schedule}
        if database.drill:
            schedules["drill.schedule"] = database.drill.schedule
        for key, schedule in schedules.items():
            if is_clock(schedule):
                continue
            code, output, _error = module.run_command([analyze, "calendar", "--", schedule])
            if code or "Next elapse: never" in output:
                raise BackupError(f"Backup of {database.name}: {schedule_error(schedule, key)}")


def apply(module: AnsibleModule, config: Config, decided: Plan) -> None:
    if decided.make_root:
        make_folder(Path(config.root), 0o700)
    if decided.make_metrics:
        make_folder(Path(config.metrics))
    if decided.stop:
        systemctl(module, "disable", "--now", *decided.stop)
    for path in decided.remove:
        Path(path).unlink()
    for file in decided.write:
        make_folder(Path(file.path).parent, repair=False)
        write_atomically(Path(file.path), file.text, file.mode)
    if decided.reload:
        systemctl(module, "daemon-reload")
    if decided.start:
        systemctl(module, "enable", *decided.start)
        systemctl(module, "restart", *decided.start)


def systemctl(module: AnsibleModule, *arguments: str) -> None:
    code, _output, error = module.run_command([module.get_bin_path("systemctl", required=True), *arguments])
    if code:
        raise BackupError(f"systemctl {' '.join(arguments)} failed: {' '.join(error.split())[:300]}")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **SETTINGS,
            "spread": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    try:
        config = parse_config({key: value for key, value in module.params.items() if key != "spread"})
        spread = check_seconds("spread", module.params["spread"], least=0)
        files = desired_files(config, own_sources(), spread)
        check_calendars(module, config)
        found = find(module, config, [file.path for file in files])
        decided = plan(config, files, found)
        before, after = show(decided, found)
        if not module.check_mode:
            apply(module, config, decided)
    except BackupError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"Cannot set the host's backups up: {error.filename}: {error.strerror}.")
    module.exit_json(
        changed=decided.changed,
        written=[file.path for file in decided.write],
        removed=list(decided.remove),
        started=list(decided.start),
        diff={"before": before, "after": after},
    )


if __name__ == "__main__":
    main()
