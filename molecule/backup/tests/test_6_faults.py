# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""A sample of what make test-faults does many times."""

from __future__ import annotations

from hosts import Host, both

from testbed.faults.backups.plan import Fault
from testbed.faults.backups.rounds import Round, prepare

SAMPLE = {
    "debian12": [
        Fault("kill", 0.02, "pg_dump"),
        Fault("cut", 0.05, "rclone"),
        Fault("row-security"),
        Fault("flip", chance=4711),
        Fault("swap-kill", 0.8),
        Fault("later"),
    ],
    "debian13": [
        Fault("terminate", 0.05, "rclone"),
        Fault("space-data", 0.02, "pg_dump", chance=100_000),
        Fault("wrong-host"),
        Fault("backend", 0.01, "pg_dump"),
        Fault("swap-terminate", 0.5),
        Fault("twice", 0.2),
    ],
}


@both
def test_whatever_a_backup_meets_it_says_so_and_the_next_one_finds_all_as_it_was(host: Host) -> None:
    duration, restore = prepare(host)
    games = [Round(host, fault, duration, restore) for fault in SAMPLE[host.name]]
    outcomes = [game.play() for game in games]
    assert [f"{o.fault} in {o.struck or '-'}: {o.problems}" for o in outcomes if o.problems] == []
