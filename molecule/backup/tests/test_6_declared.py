# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""What is declared is what the host does; a check run says what would change."""

from __future__ import annotations

import pytest
from hosts import HOSTS, Host, both, good, playbook

CONVERGE = "molecule/backup/converge.yml"
DENIED = {"name": "denied", "url": "postgresql://shop:wr0ng-s3ntinel@127.0.0.1/shop", "drill": False}


def timers(host: Host) -> str:
    return host.shell("systemctl list-timers --all --no-pager 'quayside-backup@*'")


def test_a_check_run_shows_what_would_change_and_changes_nothing() -> None:
    done = good(playbook(CONVERGE, "--check", extra={"pg_backup_spread": 7}))
    assert done.out.count("+RandomizedDelaySec=7") >= len(HOSTS), done.out[-3000:]
    for host in HOSTS:
        assert "RandomizedDelaySec=7" not in host.shell("cat /etc/systemd/system/quayside-backup@*.timer")


@pytest.fixture(scope="module")
def other_declared() -> None:
    """Until the last test the hosts have one database only, and not the right password for it."""
    good(playbook(CONVERGE, extra={"pg_backup_databases": [DENIED]}, variables=False))


@both
def test_a_database_that_is_no_longer_declared_loses_its_timer_only(host: Host, other_declared: None) -> None:
    assert "quayside-backup@denied.timer" in timers(host)
    assert "quayside-backup@shop.timer" not in timers(host)
    assert host.run("ls", "/var/backups/quayside/shop").out != ""


@both
def test_a_wrong_password_is_said_and_not_shown(host: Host, other_declared: None) -> None:
    assert host.unit("denied").code != 0
    journal = host.shell("journalctl --unit=quayside-backup@denied.service --no-pager")
    assert 'password authentication failed for user "shop"; check the user and the password in its URL' in journal
    assert "postgresql://shop:***@127.0.0.1:5432/shop" in journal
    assert host.backups("denied") == []


def test_what_is_declared_again_is_back() -> None:
    good(playbook(CONVERGE))
    for host in HOSTS:
        assert "quayside-backup@shop.timer" in timers(host)
        assert "quayside-backup@denied.timer" not in timers(host)
        host.run("systemctl", "reset-failed")
