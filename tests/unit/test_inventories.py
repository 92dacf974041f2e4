# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The inventories to edit stop a run until they are edited, before any host is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / "collections").exists(), reason="only a checkout has the link that resolves names")
@pytest.mark.parametrize("inventory", ["prod", "staging"])
@pytest.mark.parametrize("playbook", ["site.yml", "deploy.yml"])
def test_placeholders_are_named_and_nothing_is_asked(inventory: str, playbook: str) -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), playbook, "-i", f"inventories/{inventory}"],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = f"{run.stdout}{run.stderr}"
    assert run.returncode != 0
    for sentence in (
        "host web1: ansible_host is still the placeholder",
        "host web1: letsencrypt_email is still the placeholder",
        'app "shop": image is still the placeholder',
        'app "shop": domains[0] is still the placeholder',
    ):
        assert sentence in said
    assert run.stdout.count("TASK [") == 1, "it went on to another task"
