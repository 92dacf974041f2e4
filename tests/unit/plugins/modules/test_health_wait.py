# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.quayside.web.plugins.module_utils import _health_run
from ansible_collections.quayside.web.plugins.module_utils._health import Attempt
from ansible_collections.quayside.web.plugins.module_utils._health_targets import Target
from ansible_collections.quayside.web.plugins.modules import health_wait

GOOD = Attempt(ok=True, target="http://app/", status=200, latency_ms=3)
DOWN = Attempt(ok=False, target="http://app/", error="refused", message="http://app/: connection refused")


class Ended(Exception):
    """exit_json or fail_json was called."""


def run(
    monkeypatch: pytest.MonkeyPatch, *answers: Attempt, check: bool = False, **args: Any
) -> tuple[dict[str, Any], list[tuple[str, float]]]:
    """What the module returns, and the targets that it tried, with the seconds it allowed."""
    result: dict[str, Any] = {}
    asked: list[tuple[str, float]] = []
    script = iter(answers)

    def end(failed: bool) -> Any:
        def ended(module: Any, **values: Any) -> None:
            result.update(values, failed=failed, hidden=module.no_log_values)
            raise Ended

        return ended

    def probe_for(target: Target) -> Callable[[float], Attempt]:
        def probe(seconds: float) -> Attempt:
            asked.append((target.name, seconds))
            return next(script)

        return probe

    monkeypatch.setattr(health_wait.AnsibleModule, "exit_json", end(False))
    monkeypatch.setattr(health_wait.AnsibleModule, "fail_json", end(True))
    if answers:
        monkeypatch.setattr(health_wait, "probe_for", probe_for)
    with patch_module_args({"interval": 0.001, **args, "_ansible_check_mode": check}), pytest.raises(Ended):
        health_wait.main()
    return result, asked


def test_it_waits_for_passes_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = run(monkeypatch, DOWN, GOOD, GOOD, url="http://app/", successes=2)
    assert (found["failed"], found["changed"], found["healthy"], found["attempts"]) == (False, False, True, 3)
    assert (found["status"], found["last_error"], found["error"]) == (200, DOWN.message, "refused")
    assert asked[0] == ("http://app/", 5)


def test_it_fails_with_the_last_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _asked = run(monkeypatch, DOWN, url="http://app/", timeout=0)
    assert found["failed"]
    assert found["msg"] == "http://app/: connection refused (1 try in 0.0 s)"


def test_several_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = run(monkeypatch, GOOD, GOOD, targets=[{"url": "http://app/"}, {"tcp": "db:1", "try_timeout": 2}])
    assert (found["failed"], found["healthy"], found["attempts"], len(found["results"])) == (False, True, 2, 2)
    assert sorted(asked) == [("db:1", 2), ("http://app/", 5)]


def test_check_mode_tries_each_target_once_and_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = [{"tcp": "a:1", "try_timeout": 1}, {"tcp": "b:1", "try_timeout": 3}]
    found, asked = run(monkeypatch, DOWN, DOWN, check=True, targets=targets, successes=5, timeout=0)
    assert found["failed"]  # what is wrong with the input is told in check mode too
    found, asked = run(monkeypatch, DOWN, DOWN, check=True, targets=targets, successes=5)
    assert (found["failed"], found["changed"], found["healthy"], len(asked)) == (False, False, False, 2)


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
def test_a_host_without_the_library(monkeypatch: pytest.MonkeyPatch, check: bool) -> None:
    monkeypatch.setattr(_health_run, "DOCKER_ERROR", "ImportError")
    found, _asked = run(monkeypatch, check=check, container="web")
    assert found["failed"] is not check
    assert "install the Debian package python3-docker" in found["msg"]


def test_only_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://me:s3ntinel@db/app"
    headers = {"X-Forwarded-Proto": "https", "Authorization": "Bearer s3ntinel-2"}
    found, _asked = run(monkeypatch, GOOD, url="http://app/", headers=headers)
    assert found["hidden"] == {"Bearer s3ntinel-2", "s3ntinel-2"}
    found, _asked = run(monkeypatch, GOOD, postgres=url)
    assert found["hidden"] == {url, "s3ntinel"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "nothing to wait for is given; give exactly one of url, tcp, container, postgres, or several as targets."),
        ({"url": "https://app/", "ca_path": "/nowhere.pem"}, "ca_path is /nowhere.pem, which is not on this host"),
        ({"targets": [{"tpc": "db:1"}]}, "Unsupported parameters"),
    ],
)
def test_bad_input(monkeypatch: pytest.MonkeyPatch, args: dict[str, Any], message: str) -> None:
    found, asked = run(monkeypatch, GOOD, **args)
    assert found["failed"]
    assert message in found["msg"]
    assert asked == []


def test_documented_options_are_those_of_the_module() -> None:
    import yaml

    options = yaml.safe_load(health_wait.DOCUMENTATION)["options"]
    assert set(options) == set(health_wait.OPTIONS)
    assert set(options["targets"]["suboptions"]) == set(health_wait.CHECKS)
    for key, default in health_wait.DEFAULTS.items():
        assert options[key]["default"] == default
