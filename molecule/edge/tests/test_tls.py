# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Scanners: sslyze against Mozilla intermediate 6.0, testssl's grade, gixy on the configuration that runs."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

testinfra_hosts = ["ansible://web"]

SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
SCANNERS = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".cache/scanners/bin"


@pytest.fixture(scope="module")
def root(container: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root that Pebble made at its start."""
    found = container("services").check_output("curl -ks https://localhost:15000/roots/0")
    path = tmp_path_factory.mktemp("pebble") / "root.pem"
    path.write_text(found + "\n")
    return path


def test_sslyze_finds_mozillas_intermediate_profile(name: str, address_of: Callable[[str], str], root: Path) -> None:
    run = subprocess.run(
        [
            SCANNERS / "sslyze",
            f"--custom_tls_config={SCENARIO / 'files/mozilla-intermediate.json'}",
            f"--certinfo_ca_file={root}",
            f"--sni=shop.{name}.test",
            f"shop.{name}.test:443{{{address_of(name)}}}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]


def test_testssl_grades_it(name: str, machine: Any, root: Path) -> None:
    if name != "debian13":
        pytest.skip("Debian 12's testssl knows no grades of today")
    machine.check_output("printf %%s %s > /root/root.pem", root.read_text())
    machine.run(
        "rm -f /root/testssl.json; testssl --quiet --warnings off --color 0 --add-ca /root/root.pem --ip 127.0.0.1"
        f" --jsonfile /root/testssl.json https://shop.{name}.test/"
    )
    found = {entry["id"]: entry for entry in json.loads(machine.file("/root/testssl.json").content_string)}
    assert found["overall_grade"]["finding"] == "A+", [
        entry for entry in found.values() if entry["severity"] in ("HIGH", "CRITICAL") or "grade" in entry["id"]
    ]


def test_gixy_finds_nothing(machine: Any, tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(machine.check_output("nginx -T 2>/dev/null"))
    run = subprocess.run(
        [
            SCANNERS / "gixy",
            "--format=json",
            # The curve that Debian 12's OpenSSL would refuse is only in the file where OpenSSL has it.
            "--skips=nginx_cves,try_files_is_evil_too,ssl_ecdh_curve",
            str(tmp_path / "nginx.conf"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = [f"{item['plugin']}: {item['summary']}: {item.get('config', '')}" for item in json.loads(run.stdout)]
    assert found == []


def http3(address: str, domain: str) -> str:
    command = [SCANNERS / "python", SCENARIO / "files/http3.py", address, domain, "/api/three"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def test_http3_where_nginx_can(curl: Callable[..., Any], address_of: Callable[[str], str], name: str) -> None:
    can = name == "debian13"
    assert ("alt-svc" in curl("shop").headers) is can
    assert http3(address_of(name), f"shop.{name}.test").startswith('200 {"port": 21020') is can
    assert http3(address_of(name), f"stranger.{name}.test") == "", "a stranger is answered"
