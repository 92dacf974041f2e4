# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_config import Config, parse_config
from ansible_collections.quayside.web.plugins.module_utils._pg_units import services, timers, writable_paths

RUN = "quayside-backup@.service"
DRILL = "quayside-backup-drill@.service"
REPORT = "quayside-backup-report@.service"


def config(**more: Any) -> Config:
    entry = {"name": "ledger", "url": "postgresql://u:p@h/d", **more.pop("entry", {})}
    return parse_config({"root": "/backups", "databases": [entry], **more})


def lines(name: str, settings: Config) -> list[str]:
    return dict(services(settings))[name].splitlines()


@pytest.mark.parametrize(("name", "command"), [(RUN, "run"), (DRILL, "drill")], ids=["backup", "drill"])
def test_a_service_runs_its_command_in_a_cage_and_reports_when_it_fails(name: str, command: str) -> None:
    found = lines(name, config(entry={"drill": {"server": "same"}}))
    assert f"ExecStart=/usr/local/bin/quayside-backup {command} %i --unit" in found
    assert "OnFailure=quayside-backup-report@%i.service" in found
    assert {"ReadWritePaths=/backups", "UMask=0077", "ProtectSystem=strict", "NoNewPrivileges=true"} <= set(found)
    assert [line for line in found if line.startswith("CapabilityBoundingSet")] == ["CapabilityBoundingSet="]


def test_only_a_drill_in_a_server_of_its_own_may_make_a_sandbox() -> None:
    def sandboxes(name: str, **drill: str) -> bool:
        return any("CAP_SYS_ADMIN" in line for line in lines(name, config(entry={"drill": drill} if drill else {})))

    assert sandboxes(DRILL) and not sandboxes(RUN) and not sandboxes(DRILL, server="same")
    assert "ReadWritePaths=/backups -/var/lib/quayside-drill" in lines(DRILL, config())


@pytest.mark.parametrize(
    "entry",
    [
        {"url": "postgresql:///d?host=/run/postgresql&user=postgres"},
        {"admin_url": "postgresql:///d?host=/run/postgresql&user=postgres"},
        {"drill": {"url": "postgresql:///d?host=/run/postgresql&user=postgres"}},
    ],
    ids=["url", "admin_url", "drill"],
)
def test_only_a_socket_gives_the_right_to_become_its_user(entry: dict[str, Any]) -> None:
    found = [line for line in lines(RUN, config(entry=entry)) if line.startswith("CapabilityBoundingSet")]
    # systemd clears the set at the empty line: the other has to come after it.
    assert found[0] == "CapabilityBoundingSet=" and "CAP_SETUID" in found[1]


def test_a_report_may_reach_the_queue_of_an_mta() -> None:
    found = lines(REPORT, config())
    assert "ExecStart=/usr/local/bin/quayside-backup report %i" in found
    assert not {"NoNewPrivileges=true", "ProtectSystem=strict", "OnFailure=quayside-backup-report@%i.service"} & set(
        found
    )


def test_what_a_run_may_write_to() -> None:
    offsite = [
        {"name": "disk", "type": "local", "path": "/mnt/second disk"},
        {"name": "more", "type": "local", "path": "/n"},
    ]
    settings = config(entry={"offsite": offsite}, metrics="/var/lib/metrics")
    assert writable_paths(settings) == ["/backups", "-/var/lib/metrics", "-/mnt/second disk", "-/n"]
    assert 'ReadWritePaths=/backups -/var/lib/metrics "-/mnt/second disk" -/n' in lines(RUN, settings)


def test_percent_signs_are_no_specifiers() -> None:
    offsite = [{"name": "disk", "type": "local", "path": "/mnt/100%"}]
    assert 'ReadWritePaths=/backups "-/mnt/100%%"' in lines(RUN, config(entry={"offsite": offsite}))


def test_timers_are_persistent_and_spread() -> None:
    found = dict(timers(config().databases[0], 300))
    assert list(found) == ["quayside-backup@ledger.timer", "quayside-backup-drill@ledger.timer"]
    assert "OnCalendar=*-*-* 03:00:00" in found["quayside-backup@ledger.timer"].splitlines()
    assert "OnCalendar=Sun 04:30" in found["quayside-backup-drill@ledger.timer"].splitlines()
    for text in found.values():
        assert {"Persistent=true", "RandomizedDelaySec=300"} <= set(text.splitlines())


def test_no_drill_no_timer() -> None:
    assert list(dict(timers(config(entry={"drill": False}).databases[0], 0))) == ["quayside-backup@ledger.timer"]
