# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a host remembers of its certificates: an hour's pause after a refusal, and which are its own."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.quayside.web.plugins.module_utils._certbot import Source, Step
from ansible_collections.quayside.web.plugins.module_utils._certbot_record import (
    Failure,
    Record,
    from_json,
    given_up,
    held_back,
    request_of,
)
from ansible_collections.quayside.web.plugins.module_utils._certbot_wanted import Certificate

NOW = 1_800_000_000.0
SOURCE = Source("https://acme.test/dir", "/srv/acme")
STEP = Step(Certificate("shop", ("shop.test", "www.shop.test")), "issue", ())
RECORD = Record().after_failure("shop", Failure(NOW, request_of(STEP, SOURCE), "It was refused."))


@pytest.mark.parametrize(
    ("later", "held"), [(0, True), (3599, True), (3600, False), (-5, False)], ids=["at once", "59 m", "1 h", "clock"]
)
def test_an_hour_passes_before_the_same_is_asked_again(later: float, held: bool) -> None:
    sentence = held_back(RECORD, STEP, SOURCE, NOW + later)
    assert (sentence is not None) is held
    if sentence:
        assert "Certificate 'shop' was refused" in sentence
        assert "letsencrypt_retry=true" in sentence
        assert sentence.endswith("It was refused.")


@pytest.mark.parametrize(
    ("step", "source"),
    [
        (replace(STEP, certificate=Certificate("shop", ("shop.test",))), SOURCE),
        (STEP, replace(SOURCE, directory_url="https://staging.test/dir")),
        (STEP, replace(SOURCE, account='{"kid": "customer-1"}')),
        (replace(STEP, certificate=replace(STEP.certificate, dns="ovh")), SOURCE),
        (replace(STEP, certificate=replace(STEP.certificate, name="other")), SOURCE),
    ],
    ids=["other names", "another server", "another account", "another proof", "another certificate"],
)
def test_another_request_is_not_held_back(step: Step, source: Source) -> None:
    assert held_back(RECORD, step, source, NOW) is None


def test_a_success_ends_the_pause_and_makes_it_ours() -> None:
    done = RECORD.after_success("shop")
    assert held_back(done, STEP, SOURCE, NOW) is None
    assert given_up(done, [], ["shop", "foreign"]) == ["shop"]
    assert given_up(done, ["shop"], ["shop"]) == []
    assert given_up(done.without(["shop"]), [], ["shop"]) == []


def test_a_record_survives_its_file() -> None:
    record = RECORD.after_success("blog")
    assert from_json(json.loads(json.dumps(record.as_json()))) == record


@pytest.mark.parametrize("data", [None, [], {"issued": 1, "failed": 2}, {"failed": {"shop": {"at": "x"}}}])
def test_what_is_not_understood_is_forgotten(data: object) -> None:
    assert from_json(data) == Record()
