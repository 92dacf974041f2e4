# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Every scenario is run through this: a check run says nothing has to change, and fails nowhere."""

from __future__ import annotations

from typing import Any


def test_check_mode_on_the_converged_hosts_reports_nothing(check_run: Any) -> None:
    assert check_run.failed == []
    assert check_run.changed == []
    assert check_run.stats, "the check run reached no host"
