# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _certbot_run
from ansible_collections.quayside.web.plugins.module_utils._certbot import Certificate, Source, Step
from ansible_collections.quayside.web.plugins.module_utils._certbot_record import Record
from ansible_collections.quayside.web.plugins.module_utils._certbot_run import NONCE_TRIES, Certbot

STEP = Step(Certificate("shop", ("shop.test",)), "issue", ())
SOURCE = Source("https://acme.test/dir", "/srv/acme", "", "ecdsa", "")
NONCE = "An unexpected error occurred:\nThe client sent an unacceptable anti-replay nonce :: JWS has one"


@pytest.mark.parametrize(
    ("refusals", "said", "calls", "told"),
    [
        (0, NONCE, 1, ""),
        (NONCE_TRIES - 1, NONCE, NONCE_TRIES, ""),
        (9, NONCE, NONCE_TRIES, "anti-replay nonce"),
        (9, "An unexpected error occurred:\ntoo many certificates", 1, "too many certificates"),
    ],
    ids=["good at once", "good at last", "never", "another refusal"],
)
def test_a_refused_nonce_is_asked_with_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int, said: str, calls: int, told: str
) -> None:
    program, count, written = tmp_path / "certbot", tmp_path / "count", []
    program.write_text(
        f"#!/bin/sh\necho >> {count}\n[ $(wc -l < {count}) -gt {refusals} ] && exit 0\necho '{said}' >&2; exit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(_certbot_run, "write_record", written.append)
    certbot = Certbot(str(program), {"ca_file": None, "timeout": 10}, lambda argv: (0, "", ""))
    record, sentence = certbot.ask(STEP, SOURCE, Record())
    assert len(count.read_text().splitlines()) == calls
    assert told in sentence and bool(sentence) == bool(told)
    assert written == [record]
