# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Fixtures for tests of modules."""

from __future__ import annotations

import pytest
from ansible.module_utils.basic import AnsibleModule


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a module warns of. Not taken from its result: beside a controller's code, Ansible prints it instead."""
    told: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, warning: told.append(warning))
    return told
