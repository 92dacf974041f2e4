# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._backup_alerts import (
    FAILURE,
    START,
    SUCCESS,
    Alerts,
    Event,
    deliver,
    hand_over,
    letter,
    parse_alerts,
    posts,
    send,
    shown_url,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError

SECRET = "s3ntinel"
GOOD = Event(SUCCESS, "ledger", "web1", id="20261121T030000Z", seconds=2.5, size=1000)
BAD = Event(FAILURE, "ledger", "web1", ok=False, error="password authentication failed")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ping": f"ftp://h/{SECRET}"}, "alerts.ping is not a URL"),
        ({"ping": f"https:///{SECRET}"}, "alerts.ping is not a URL"),
        ({"webhook": f"https://h/{SECRET} x"}, "alerts.webhook is not a URL"),
        ({"webhook": f"file:///{SECRET}"}, "alerts.webhook is not a URL"),
        ({"webhook": f"https://h:99999/{SECRET}"}, "alerts.webhook is not a URL"),
        ({"webhook": 7}, "alerts.webhook is not a URL"),
        ({"mail": "a@b.example, c@d.example"}, "alerts.mail is 'a@b.example, c@d.example'"),
        ({"mail": "a@b.example\nBcc: x@y.example"}, "alerts.mail is"),
        ({"mail": "-oQ/tmp"}, "alerts.mail is"),
        ({"email": "root"}, "unknown key 'email'; ping, webhook, mail are accepted"),
    ],
)
def test_refusals_show_no_url(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BackupError) as caught:
        parse_alerts(given)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        {"ping": None, "mail": ""},
        {"ping": "https://hc-ping.com/key/{name}", "mail": "root"},
        {"mail": "a.b+c@d.example"},
    ],
)
def test_accepted(given: dict[str, Any] | None) -> None:
    assert parse_alerts(given).mail == (given or {}).get("mail", "")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://hc-ping.com/{SECRET}?x={SECRET}", "https://hc-ping.com/…"),
        (f"http://user:{SECRET}@[::1]:8080/{SECRET}", "http://[::1]:8080/…"),
        ("", ""),
    ],
)
def test_only_scheme_and_host_are_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown
    assert SECRET not in repr(Alerts(ping=url)) + json.dumps(Alerts(url, url).to_dict(redacted=True))


@pytest.mark.parametrize(
    ("ping", "event", "urls"),
    [
        ("https://h/k", Event(START, "ledger", "web1"), ["https://h/k/start"]),
        ("https://h/k", GOOD, ["https://h/k"]),
        ("https://h/k/", BAD, ["https://h/k/fail"]),
        ("https://h/k?a=b", BAD, ["https://h/k/fail?a=b"]),
        ("https://h/k/{name}-{host}", GOOD, ["https://h/k/ledger-web1"]),
        ("https://h/k", Event(SUCCESS, "ledger", "web1", all_well=False), []),
        ("https://h/k", Event(FAILURE, "ledger", "web1", all_well=False), ["https://h/k/fail"]),
    ],
    ids=["start", "success", "failure", "query", "placeholders", "another is in trouble", "this one is"],
)
def test_pings(ping: str, event: Event, urls: list[str]) -> None:
    assert [post.url for post in posts(Alerts(ping=ping), event)] == urls


def test_a_webhook_hears_of_ends_as_json() -> None:
    alerts = Alerts(webhook="https://h/hook")
    assert posts(alerts, Event(START, "ledger", "web1")) == []
    (post,) = posts(alerts, BAD)
    assert post.content_type == "application/json"
    assert json.loads(post.body) == {
        **{"event": "failure", "name": "ledger", "host": "web1", "action": "backup", "id": "", "ok": False},
        **{"error": "password authentication failed", "seconds": 0.0, "size": 0},
    }


def test_a_letter_cannot_be_given_other_headers() -> None:
    message = letter("ops@example.com", Event(FAILURE, "ledger", "web1", error="a\nBcc: evil@example.com", ok=False))
    assert sorted(message.keys()) == sorted(
        ["To", "Subject", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"]
    )
    assert message["Subject"] == "[web1] backup of ledger failed"


# ------------------------------------------------------------------------------------------------------- deliveries


class _Endpoint(http.server.ThreadingHTTPServer):
    """Answers with the statuses that it was given, the last one for ever; a redirect goes to `location`."""

    def __init__(self, statuses: list[int], location: str = "") -> None:
        self.statuses, self.location = statuses, location
        self.seen: list[tuple[str, bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{SECRET}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.path, body))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def endpoint(request: pytest.FixtureRequest) -> Iterator[_Endpoint]:
    server = _Endpoint(*request.param)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def one_post(url: str) -> Any:
    return posts(Alerts(webhook=url), GOOD)[0]


@pytest.mark.parametrize(
    ("endpoint", "problem", "requests"),
    [(([200],), "", 1), (([500, 200],), "", 2), (([404],), "it answers 404", 2)],
    ids=["at once", "at the second try", "never"],
    indirect=["endpoint"],
)
def test_tries(endpoint: _Endpoint, problem: str, requests: int) -> None:
    assert deliver(one_post(endpoint.url), pause=0) == problem
    assert len(endpoint.seen) == requests


@pytest.mark.parametrize("endpoint", [([302], "ftp://127.0.0.1/x"), ([302], "https://127.0.0.1/x")], indirect=True)
def test_a_redirect_to_another_scheme_is_not_followed(endpoint: _Endpoint) -> None:
    assert deliver(one_post(endpoint.url), tries=1) == "it answers 302"
    assert len(endpoint.seen) == 1


def test_who_cannot_be_reached_is_logged_without_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    server = _Endpoint([200])
    server.server_close()
    alerts = Alerts(ping=server.url, webhook=server.url, mail="root")
    send(alerts, BAD, said.append, mail=False)
    assert [line.partition(" to ")[0] for line in said] == ["ledger: the ping", "ledger: the webhook"]
    assert all("Connection refused" in line for line in said)
    assert SECRET not in "".join(said)


@pytest.mark.parametrize(
    ("script", "problem"),
    [("cat > {out}; echo $@ > {out}.args", ""), ("echo no such user >&2; exit 67", "ended with 67: no such user")],
    ids=["taken", "refused"],
)
def test_mail_goes_to_the_mta(tmp_path: Path, script: str, problem: str) -> None:
    sendmail, out = tmp_path / "sendmail", tmp_path / "mail"
    sendmail.write_text("#!/bin/sh\n" + script.format(out=out) + "\n")
    sendmail.chmod(0o755)
    found = hand_over(letter("ops@example.com", BAD), str(sendmail))
    assert found.endswith(problem) and bool(found) == bool(problem)
    if not problem:
        assert "To: ops@example.com" in out.read_text()
        assert (tmp_path / "mail.args").read_text().split() == ["-i", "-t"]


def test_no_mta_is_said(tmp_path: Path) -> None:
    assert "install an MTA" in hand_over(letter("root", BAD), str(tmp_path / "none"))


@pytest.mark.parametrize(("event", "mails"), [(BAD, 1), (GOOD, 0), (Event(START, "ledger", "web1"), 0)])
def test_only_failures_are_mailed(event: Event, mails: int, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(f"{Alerts.__module__}.hand_over", lambda message: f"not taken for {message['To']}")
    send(Alerts(mail="root"), event, said.append)
    assert said == ["ledger: the mail to root failed: not taken for root"] * mails
