# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""The host backs itself up by a timer, proves what it has, and gives nothing away."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = "/var/backups/quayside"
SECRET = "s3ntinel"
SCENARIO = Path(__file__).resolve().parents[1]
COUNTS = (
    "SELECT (SELECT count(*) FROM account) || ' ' || (SELECT count(*) FROM entry) || ' ' || "
    "(SELECT sum(sum) FROM balance) || ' ' || (SELECT last_value FROM entry_id_seq)"
)


def backups(host: Any, name: str = "ledger") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(host.check_output("quayside-backup list --json %s", name))
    for backup in found:
        del backup["age_hours"]  # the only thing that changes by itself
    return found


def back_up(host: Any) -> dict[str, Any]:
    host.check_output("systemctl start quayside-backup@ledger.service")
    return backups(host)[-1]


def sql(host: Any, command: str, database: str = "ledger") -> str:
    psql = "runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d %s -c %s"
    return str(host.check_output(psql, database, command)).strip()


def hidden(host: Any, name: str = "ledger") -> list[str]:
    """What an unfinished run may leave, apart from the lock."""
    entries = host.check_output("ls -A %s", f"{ROOT}/{name}").split()
    return [entry for entry in entries if entry.startswith(".") and entry != ".lock"]


def playbook(name: str, *arguments: str) -> tuple[int, str]:
    inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"
    run = subprocess.run(
        ["ansible-playbook", f"--inventory={inventory}", *arguments, str(SCENARIO / name)],
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    # As one line, because YAML folds long sentences.
    return run.returncode, " ".join(run.stdout.split())


def settings(**entry: Any) -> dict[str, Any]:
    return {"pg_backup_databases": [{"name": "ledger", "url": "postgresql://u:s3ntinel@h/d", **entry}]}


@pytest.fixture
def held_view(host: Any) -> Iterator[Callable[[], None]]:
    """A migration that holds a view, so that pg_dump waits in the middle, when its tables are locked already."""
    host.check_output(
        "systemd-run --quiet --unit=holder --collect -- runuser -u postgres -- psql -Xq -d ledger"
        " -c 'BEGIN' -c 'ALTER VIEW balance RENAME TO held' -c 'SELECT pg_sleep(300)'"
    )
    wait_until(
        host,
        "runuser -u postgres -- psql -XAtc \"SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock'"
        " AND granted AND locktype = 'relation'\" ledger | grep -q 1",
    )

    def release() -> None:
        # A server process goes on sleeping when only its client is stopped.
        host.check_output(
            "runuser -u postgres -- psql -Xqc %s",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(300)%'"
            " AND pid <> pg_backend_pid()",
        )

    yield release
    release()


def wait_until(host: Any, command: str) -> None:
    host.check_output("timeout 30 sh -c %s", f"until {command}; do sleep 0.1; done")


def test_the_timer_fires_at_three_and_catches_up(host: Any) -> None:
    timer = host.check_output("systemctl cat quayside-backup@ledger.timer").splitlines()
    assert "OnCalendar=*-*-* 03:00:00" in timer
    assert "Persistent=true" in timer
    assert host.check_output("systemctl is-active quayside-backup@ledger.timer") == "active"
    assert host.check_output("systemctl is-enabled quayside-backup@ledger.timer") == "enabled"
    assert "03:0" in host.check_output("systemctl list-timers --no-pager quayside-backup@ledger.timer")
    assert "OnCalendar=Sun 04:00" in host.check_output("systemctl cat quayside-backup@denied.timer")
    assert "OnCalendar=Sun 04:30" in host.check_output("systemctl cat quayside-backup-drill@ledger.timer")
    assert not host.file("/etc/systemd/system/quayside-backup-drill@denied.timer").exists


def test_a_backup_restores_with_every_row(host: Any) -> None:
    backup = back_up(host)
    assert backup["verified"] and backup["tables"] == 2
    dump = f"{ROOT}/ledger/{backup['id']}/dump.pgc"
    assert host.check_output("sha256sum %s", dump).split()[0] == backup["sha256"]
    sql(host, "CREATE DATABASE scratch", "postgres")
    try:
        host.check_output("cat %s | runuser -u postgres -- pg_restore --exit-on-error --dbname=scratch", dump)
        assert sql(host, COUNTS, "scratch") == sql(host, COUNTS) == "100 20000 200010000 20000"
    finally:
        sql(host, "DROP DATABASE scratch", "postgres")


def test_a_drill_proves_a_backup_by_a_restore(host: Any) -> None:
    backup = back_up(host)
    assert not backup["proven"]
    host.check_output("systemctl start quayside-backup-drill@ledger.service")
    proven = backups(host)[-1]
    assert proven["id"] == backup["id"] and proven["proven"] and proven["proof"]["rows"] == 20100
    assert "PROVEN" in host.check_output("quayside-backup list ledger")
    assert sql(host, "SELECT count(*) FROM pg_database WHERE datname LIKE '%drill%'", "postgres") == "0"


def test_a_cut_backup_is_not_trusted(host: Any) -> None:
    backup = back_up(host)
    dump = f"{ROOT}/ledger/{backup['id']}/dump.pgc"
    host.check_output("truncate --size=-1 %s", dump)
    (cut,) = [found for found in backups(host) if found["id"] == backup["id"]]
    assert not cut["verified"] and "bytes instead of" in cut["problem"]
    assert "NOT VERIFIED" in host.check_output("quayside-backup list")
    host.check_output("rm -r %s", f"{ROOT}/ledger/{backup['id']}")


def test_a_flipped_bit_is_found_and_remembered(host: Any) -> None:
    backup = back_up(host)
    dump = f"{ROOT}/ledger/{backup['id']}/dump.pgc"
    assert host.run("quayside-backup verify ledger %s", backup["id"]).rc == 0
    host.check_output("printf X | dd of=%s bs=1 seek=20000 conv=notrunc status=none", dump)
    assert host.run("quayside-backup verify ledger %s", backup["id"]).rc == 1
    (flipped,) = [found for found in backups(host) if found["id"] == backup["id"]]
    assert not flipped["verified"] and "sha256" in flipped["problem"]
    after = back_up(host)
    assert flipped["id"] in {found["id"] for found in backups(host)}, "rotation removed what a person has to look at"
    assert after["verified"]
    host.check_output("rm -r %s", f"{ROOT}/ledger/{backup['id']}")


def test_rotation_keeps_the_floor_and_the_newest_that_is_proven(host: Any) -> None:
    newest = [back_up(host)["id"] for _time in range(4)][-2:]
    *proven, second, last = backups(host)
    assert [second["id"], last["id"]] == newest
    assert [backup["proven"] for backup in proven] in ([], [True])


def test_a_wrong_password_is_said_and_not_shown(host: Any) -> None:
    assert host.run("systemctl start quayside-backup@denied.service").rc != 0
    journal = host.check_output("journalctl --unit=quayside-backup@denied.service --no-pager")
    assert 'password authentication failed for user "ledger"; check the user and the password in its URL' in journal
    assert "postgresql://ledger:***@127.0.0.1:5432/ledger" in journal
    assert backups(host, "denied") == []


def test_only_root_can_read(host: Any) -> None:
    back_up(host)
    for path in (ROOT, "/etc/quayside/backup.json"):
        assert host.check_output("find %s ! -user root -o -perm /077", path) == ""
    assert host.file("/etc/quayside/backup.json").mode == 0o600


def test_no_secret_in_any_command_line(host: Any, held_view: Callable[[], None]) -> None:
    host.check_output("systemctl start --no-block quayside-backup@ledger.service")
    wait_until(host, "pgrep -x pg_dump")
    commands = host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    environment = host.check_output("tr '\\0' ' ' < /proc/$(pgrep -x pg_dump | head -1)/environ")
    assert "--lock-wait-timeout=60000" in commands and "PGPASSFILE=" in environment
    assert SECRET not in commands + environment
    held_view()
    wait_until(host, "! systemctl is-active --quiet quayside-backup@ledger.service")
    assert host.run("systemctl is-failed quayside-backup@ledger.service").rc != 0


def test_a_run_killed_in_the_middle_leaves_nothing_and_blocks_nothing(host: Any, held_view: Callable[[], None]) -> None:
    before = backups(host)
    host.check_output("systemctl start --no-block quayside-backup@ledger.service")
    wait_until(host, "pgrep -x pg_dump")
    # Only the parent: the dump has to die with it by itself.
    host.check_output("systemctl kill --kill-who=main --signal=KILL quayside-backup@ledger.service")
    wait_until(host, "! pgrep -x pg_dump")
    assert backups(host) == before and hidden(host)
    held_view()
    host.run("systemctl reset-failed quayside-backup@ledger.service")
    assert back_up(host)["verified"]
    assert hidden(host) == []


def test_no_secret_in_the_journal_or_below_var(host: Any) -> None:
    assert SECRET not in host.check_output("journalctl --no-pager")
    assert host.run("grep -rlF %s /var/log /var/lib/systemd /tmp /run/systemd", SECRET).stdout == ""


def test_the_playbook_takes_the_same_backup_and_shows_no_secret(host: Any) -> None:
    before = backups(host)
    code, output = playbook("run.yml", "-vvv", "--diff", '--extra-vars={"pg_backup_only": ["ledger"]}')
    assert code == 0, output
    assert SECRET not in output
    after = backups(host)
    assert after[-1]["verified"] and after[-1]["id"] > before[-1]["id"]


@pytest.mark.parametrize(
    ("name", "extra", "succeeds", "words"),
    [
        ("run.yml", {}, False, 'password authentication failed for user "ledger"'),
        ("run.yml", {"pg_backup_only": ["shop"]}, False, "pg_backup_only names shop; the databases with backups are"),
        ("converge.yml", {"pg_backup_spread": 7}, True, "RandomizedDelaySec=7"),
        ("converge.yml", {"pg_backup_spread": -1}, False, "spread is '-1'"),
        ("converge.yml", settings(url="mysql://u:s3ntinel@h/d"), False, "scheme is mysql"),
        ("converge.yml", settings(schedule="Blursday"), False, "schedule is 'Blursday'"),
        ("converge.yml", settings(schedule="*-02-31"), False, "schedule is '*-02-31'"),
        ("converge.yml", settings(keep={"daily": -1}), False, "keep.daily is '-1'"),
        ("converge.yml", settings(keep={"hourly": 1}), False, "hourly"),
    ],
)
def test_the_most_verbose_check_run_shows_what_is_wrong_and_no_secret(
    name: str, extra: dict[str, Any], succeeds: bool, words: str
) -> None:
    code, output = playbook(name, "-vvv", "--check", "--diff", f"--extra-vars={json.dumps(extra)}")
    assert (code == 0) is succeeds, output
    assert words in output.replace("''", "'"), output
    assert SECRET not in output


def test_bad_settings_stop_the_run_before_anything_changes(host: Any) -> None:
    command = "find /etc/quayside /etc/systemd/system /usr/local /var/backups -newer /etc/quayside/backup.json"
    before = host.check_output(command)
    code, _output = playbook("converge.yml", f"--extra-vars={json.dumps(settings(schedule='Blursday'))}")
    assert code != 0 and host.check_output(command) == before


def test_a_database_that_is_no_longer_declared_loses_its_timer_only(host: Any) -> None:
    kept = backups(host)
    try:
        code, output = playbook("converge.yml", f"--extra-vars={json.dumps(settings(name='other'))}")
        assert code == 0, output
        timers = host.check_output("systemctl list-timers --all --no-pager")
        assert "quayside-backup@other.timer" in timers and "quayside-backup@ledger.timer" not in timers
        assert backups(host) == kept
    finally:
        assert playbook("converge.yml")[0] == 0
    timers = host.check_output("systemctl list-timers --all --no-pager")
    assert "quayside-backup@ledger.timer" in timers and "quayside-backup@other.timer" not in timers
    assert not host.file("/etc/systemd/system/timers.target.wants/quayside-backup@other.timer").exists
