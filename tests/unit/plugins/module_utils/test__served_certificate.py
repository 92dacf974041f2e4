# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What is served against what is kept: serials, days and chains."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._served_certificate import (
    Certificate,
    Served,
    judge,
    metrics,
    parse_chain,
    parse_x509,
)

DAY = 86400
NOW = 1_800_000_000.0
KEPT = Certificate("0A", NOW - 30 * DAY, NOW + 60 * DAY)


def ending(days: float, serial: str = "0A") -> Certificate:
    return Certificate(serial, NOW - (90 - days) * DAY, NOW + days * DAY)


@pytest.mark.parametrize(
    ("kept", "served", "problem"),
    [
        pytest.param(KEPT, Served(KEPT, "ok"), "", id="good"),
        pytest.param(KEPT, Served(KEPT, "private authority"), "", id="of a private authority"),
        pytest.param(KEPT, Served(None), "port 443 serves no certificate", id="nothing served"),
        pytest.param(
            KEPT, Served(ending(60, "0B")), "serial 0B is served and the disk has serial 0A", id="not reloaded"
        ),
        pytest.param(None, Served(KEPT), "the disk has no readable certificate", id="nothing kept"),
        pytest.param(ending(-2), Served(ending(-2)), "ended 2 days ago", id="over"),
        pytest.param(ending(17), Served(ending(17)), "17 of 90 days are left and it was not renewed", id="late"),
        pytest.param(ending(19), Served(ending(19)), "", id="not late yet"),
        pytest.param(KEPT, Served(KEPT, "incomplete"), "without the certificates between", id="no chain"),
    ],
)
def test_a_domain_is_judged(kept: Certificate | None, served: Served, problem: str) -> None:
    found = judge("shop", "shop.test", kept, served, NOW)
    assert problem in found.problem if problem else not found.problem
    assert found.matches is (served.certificate is not None and served.certificate == kept)


def test_short_lifetimes_are_late_later() -> None:
    kept = Certificate("0A", NOW - 35 * DAY, NOW + 10 * DAY)
    assert judge("shop", "shop.test", kept, Served(kept), NOW).problem == ""


def test_certificates_of_a_year_are_late_three_weeks_before_their_end() -> None:
    for days, late in ((22, False), (20, True)):
        kept = Certificate("0A", NOW - (365 - days) * DAY, NOW + days * DAY)
        assert bool(judge("shop", "shop.test", kept, Served(kept), NOW).problem) is late


def test_openssl_is_read() -> None:
    text = "serial=0A\nnotBefore=Jan 15 08:00:00 2027 GMT\nnotAfter=Jan 15 08:00:00 2028 GMT\n"
    found = parse_x509(text)
    assert found and found.serial == "0A" and found.not_after - found.not_before == 365 * DAY
    assert parse_x509("unable to load certificate") is None


@pytest.mark.parametrize(
    ("text", "chain"),
    [
        ("Verify return code: 0 (ok)", "ok"),
        ("Verify return code: 21 (unable to verify the first certificate)", "incomplete"),
        ("Verify return code: 10 (certificate has expired)", "certificate has expired"),
        ("connect:errno=111", ""),
    ],
)
def test_the_chain_is_read(text: str, chain: str) -> None:
    assert parse_chain(text) == chain


def test_metrics() -> None:
    good, bad = (judge("shop", name, KEPT, Served(KEPT if name == "a" else None), NOW) for name in ("a", "b"))
    lines = metrics([good, bad], NOW).splitlines()
    assert 'quayside_certificate_days_left{certificate="shop",domain="a"} 60.0' in lines
    assert 'quayside_certificate_good{certificate="shop",domain="b"} 0' in lines
    assert f"quayside_certificates_checked_timestamp_seconds {NOW:.0f}" in lines
    assert len([line for line in lines if line.startswith("# TYPE")]) == 4
