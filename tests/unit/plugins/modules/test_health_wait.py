# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.quayside.web.plugins.module_utils._health import Attempt
from ansible_collections.quayside.web.plugins.modules import health_wait

GOOD = Attempt(ok=True, target="http://app/", status=200, latency_ms=3, body='{"status": "ok"}')
DOWN = Attempt(ok=False, target="http://app/", error="refused", message="http://app/: connection refused")


class Ended(Exception):
    """exit_json or fail_json was called."""


def run(
    monkeypatch: pytest.MonkeyPatch, *answers: Attempt, check: bool = False, **args: Any
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the module returns, and what it asked its probe."""
    result: dict[str, Any] = {}
    asked: list[dict[str, Any]] = []
    script = iter(answers)

    def end(failed: bool) -> Any:
        def ended(_module: object, **values: Any) -> None:
            result.update(values, failed=failed)
            raise Ended

        return ended

    def probe(url: str, **options: Any) -> Attempt:
        asked.append({"url": url, **options})
        return next(script)

    monkeypatch.setattr(health_wait.AnsibleModule, "exit_json", end(False))
    monkeypatch.setattr(health_wait.AnsibleModule, "fail_json", end(True))
    monkeypatch.setattr(health_wait, "probe_http", probe)
    monkeypatch.setattr(health_wait, "probe_tcp", lambda host, port, timeout: probe(f"{host} {port}", timeout=timeout))
    with patch_module_args({"interval": 0.001, **args, "_ansible_check_mode": check}), pytest.raises(Ended):
        health_wait.main()
    return result, asked


def test_it_waits_for_passes_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = run(monkeypatch, DOWN, GOOD, GOOD, url="http://app/", successes=2, host="shop", headers={"X": 1})
    assert (found["failed"], found["changed"], found["healthy"], found["attempts"]) == (False, False, True, 3)
    assert (found["status"], found["last_error"], found["error"]) == (200, DOWN.message, "refused")
    assert (asked[0]["host_header"], asked[0]["headers"]) == ("shop", {"X": "1"})


def test_it_fails_with_the_last_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _asked = run(monkeypatch, GOOD, url="http://app/", expect={"status": "fine"}, timeout=0)
    assert found["failed"]
    assert found["msg"].startswith('http://app/: answered 200, but status is "ok", expected "fine" (1 try in 0.0 s')


def test_check_mode_tries_once_and_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = run(monkeypatch, DOWN, check=True, url="http://app/", successes=5, try_timeout=2)
    assert (found["failed"], found["changed"], found["healthy"], len(asked)) == (False, False, False, 1)
    assert asked[0]["timeout"] == pytest.approx(2, abs=0.1)


def test_check_mode_bears_a_host_without_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_wait, "REQUESTS_ERROR", "ImportError")
    found, asked = run(monkeypatch, check=True, url="http://app/")
    assert (found["failed"], found["healthy"], asked) == (False, False, [])
    assert run(monkeypatch, url="http://app/")[0]["failed"]


def test_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = run(monkeypatch, GOOD, tcp="[::1]:5432")
    assert (found["healthy"], asked[0]["url"]) == (True, "::1 5432")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"url": "app/health"}, "url is 'app/health', expected http:// or https:// and a host"),
        ({"tcp": "db"}, "the address is 'db', expected host:port"),
        ({"url": "http://app/", "connect_to": "x:y"}, "the address is 'x:y'"),
        ({"url": "http://app/", "status": [99]}, "expected an HTTP status from 100 to 599"),
        ({"url": "http://app/", "successes": 0}, "successes and try_timeout must be above zero"),
        ({"url": "https://app/", "ca_path": "/nowhere.pem"}, "ca_path is /nowhere.pem, which is not on this host"),
        ({}, "one of the following is required: url, tcp"),
        ({"url": "http://app/", "tcp": "db:1"}, "mutually exclusive"),
    ],
)
def test_bad_input(monkeypatch: pytest.MonkeyPatch, args: dict[str, Any], message: str) -> None:
    found, asked = run(monkeypatch, **args)
    assert found["failed"]
    assert message in found["msg"]
    assert asked == []
