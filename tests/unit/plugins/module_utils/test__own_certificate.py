# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Certificates that were brought, or that the host signs: with openssl itself where that is what is asked."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils._own_certificate import (
    RENEW_BEFORE,
    Facts,
    covered,
    facts_of,
    fault_of,
    is_due,
)

NOW = 1_800_000_000.0
GOOD = Facts(frozenset({"a.test", "*.b.test"}), NOW + RENEW_BEFORE + 1, "key", "key")


@pytest.mark.parametrize(
    ("domain", "expected"), [("a.test", True), ("x.b.test", True), ("b.test", False), ("x.y.b.test", False)]
)
def test_a_wildcard_is_for_one_label(domain: str, expected: bool) -> None:
    assert covered(domain, GOOD.domains) is expected


@pytest.mark.parametrize(
    ("domains", "facts", "sentence"),
    [
        (["a.test", "x.b.test"], GOOD, None),
        (["a.test"], None, "no certificate in PEM"),
        (["a.test"], Facts(GOOD.domains, NOW + 1, "key", ""), "no private key in PEM"),
        (["a.test"], Facts(GOOD.domains, NOW + 1, "key", "other"), "its key belongs to another certificate"),
        (["c.test"], GOOD, "is for *.b.test, a.test and not for c.test"),
        (["a.test"], Facts(GOOD.domains, NOW - 3 * 86400, "key", "key"), "ended 3 days ago"),
    ],
    ids=["good", "no certificate", "no key", "another key", "another name", "over"],
)
def test_what_was_brought_is_judged(domains: list[str], facts: Facts | None, sentence: str | None) -> None:
    found = fault_of("own", domains, facts, NOW)
    assert found is None if sentence is None else sentence in str(found)


@pytest.mark.parametrize(
    ("domains", "facts", "due"),
    [
        (["*.b.test", "a.test"], GOOD, False),
        (["a.test"], GOOD, True),
        (["*.b.test", "a.test"], Facts(GOOD.domains, NOW + RENEW_BEFORE - 1, "key", "key"), True),
        (["*.b.test", "a.test"], Facts(GOOD.domains, GOOD.not_after, "key", "other"), True),
        (["a.test"], None, True),
    ],
    ids=["good", "other names", "near its end", "another key", "none"],
)
def test_ones_own_is_made_when_it_is_due(domains: list[str], facts: Facts | None, due: bool) -> None:
    assert is_due(domains, facts, NOW) is due


def test_openssl_is_read(tmp_path: Path) -> None:
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "9",
    ]
    command += ["-subj", "/CN=x", "-addext", "subjectAltName=DNS:A.test", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    def said(*arguments: str) -> str:
        return subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    x509 = said("x509", "-noout", "-ext", "subjectAltName", "-enddate", "-pubkey", "-in", "cert.pem")
    facts = facts_of(x509, said("pkey", "-pubout", "-in", "key.pem"))
    assert facts and facts.domains == {"a.test"} and facts.public_key == facts.key_public
    assert facts_of("unable to load certificate", "") is None
