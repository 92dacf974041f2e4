# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The files of the hourly look: what the program reads is what the settings say."""

from __future__ import annotations

import ast
import inspect
import json
import sys

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _served_certificate
from ansible_collections.quayside.web.plugins.module_utils._certificate_watch import PROGRAM, SETTINGS, diff, files

CERTIFICATE = {"name": "shop", "domains": ["shop.test"], "path": "/etc/shop.pem"}


def test_the_settings_are_what_the_program_looks_for() -> None:
    settings = json.loads(files("", [CERTIFICATE], 443, "/metrics")[SETTINGS])
    assert settings == {"certificates": [CERTIFICATE], "port": 443, "metrics": "/metrics"}


def test_the_program_runs_without_the_collection() -> None:
    imports = list(ast.walk(ast.parse(inspect.getsource(_served_certificate))))
    names = {name.name.partition(".")[0] for node in imports if isinstance(node, ast.Import) for name in node.names}
    names |= {str(node.module).partition(".")[0] for node in imports if isinstance(node, ast.ImportFrom)}
    assert not [node for node in imports if isinstance(node, ast.ImportFrom) and node.level]
    assert names <= set(sys.stdlib_module_names)


@pytest.mark.parametrize(("metrics", "writable"), [("/metrics", "-/metrics"), ("", "-/nonexistent")])
def test_the_service_may_write_metrics_alone(metrics: str, writable: str) -> None:
    service = next(text for path, text in files("", [], 443, metrics).items() if path.endswith(".service"))
    assert f"ReadWritePaths={writable}\n" in service
    assert "ProtectSystem=strict\n" in service
    assert f"{PROGRAM} {SETTINGS}\n" in service


def test_a_diff_does_not_print_the_program() -> None:
    after = files("a\nb\n", [], 443, "")
    entries = {entry["after_header"]: entry["after"] for entry in diff({}, after)}
    assert entries[PROGRAM] == "(2 lines)\n"
    assert diff(after, after) == []
