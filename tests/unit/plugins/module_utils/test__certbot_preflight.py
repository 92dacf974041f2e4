# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Names that can't be proved, told before an ACME server is asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.quayside.web.plugins.module_utils._certbot_preflight import (
    Looked,
    Reached,
    caa_fault,
    fault,
    zones,
)

OWN = {"192.0.2.1", "2001:db8::1"}
OK = Reached(True)
REFUSED = Reached(False, "did not answer (Connection refused)", refused=True)
WRONG = Reached(False, "answered 404")


def asked(**answers: Reached) -> Callable[[str], Reached]:
    return lambda address: answers.get(address.replace(".", "_").replace(":", "_"), OK)


@pytest.mark.parametrize(
    ("looked", "reached", "declared", "sentence"),
    [
        pytest.param(Looked("a.test", ("192.0.2.1",)), {}, (), None, id="good"),
        pytest.param(Looked("a.test", ("198.51.100.1",)), {}, (), None, id="behind a proxy that passes the token on"),
        pytest.param(Looked("a.test"), {}, (), "a.test: DNS has no address for it; add", id="no address"),
        pytest.param(
            Looked("a.test"), {}, ("203.0.113.9",), "record with 203.0.113.9.", id="the declared one is named"
        ),
        pytest.param(
            Looked("a.test", trouble="does not answer: 192.0.2.53 (timed out)"),
            {},
            (),
            "a.test: DNS does not answer: 192.0.2.53 (timed out).",
            id="no name server",
        ),
        pytest.param(
            Looked("a.test", ("192.0.2.1",)),
            {"192_0_2_1": WRONG},
            (),
            "a.test: DNS says 192.0.2.1, which is this host, and port 80 there answered 404 for a token of our own.",
            id="another server on port 80",
        ),
        pytest.param(
            Looked("a.test", ("198.51.100.1",)),
            {"198_51_100_1": REFUSED},
            (),
            "a.test: DNS says 198.51.100.1, where port 80 did not answer (Connection refused) for a token of our own; "
            "this host has 192.0.2.1, 2001:db8::1; correct the record",
            id="another host",
        ),
        pytest.param(
            Looked("a.test", ("192.0.2.1", "2001:db8::9")),
            {"2001_db8__9": REFUSED},
            (),
            "DNS says 2001:db8::9",
            id="one wrong record of two",
        ),
        pytest.param(
            Looked("a.test", ("203.0.113.9",)), {"203_0_113_9": REFUSED}, ("203.0.113.9",), None, id="behind a router"
        ),
        pytest.param(
            Looked("a.test", ("203.0.113.9",)),
            {"203_0_113_9": WRONG},
            ("203.0.113.9",),
            "port 80 there answered 404",
            id="behind a router, and another server",
        ),
    ],
)
def test_a_name_is_looked_at(
    looked: Looked, reached: dict[str, Reached], declared: tuple[str, ...], sentence: str | None
) -> None:
    found = fault(looked, OWN, declared, ["ca.test"], asked(**reached))
    assert found is None if sentence is None else sentence in str(found)


@pytest.mark.parametrize(
    ("name", "caa", "identities", "refused"),
    [
        pytest.param("a.test", (), ["ca.test"], None, id="none"),
        pytest.param("a.test", ("issue ca.test",), ["ca.test"], None, id="allowed"),
        pytest.param("a.test", ("issue CA.test; validationmethods=http-01",), ["ca.test"], None, id="with parameters"),
        pytest.param("a.test", ("issue other.test",), ["ca.test"], "CAA lets other.test issue", id="another"),
        pytest.param("a.test", ("issue ;",), ["ca.test"], "CAA lets nobody issue", id="nobody"),
        pytest.param("a.test", ("issue other.test",), [], None, id="a server that does not say who it is"),
        pytest.param("a.test", ("iodef mailto:a@b.test",), ["ca.test"], None, id="no issuers"),
        pytest.param("a.test", ("issuewild other.test",), ["ca.test"], None, id="for wildcards only"),
        pytest.param("*.a.test", ("issue ca.test", "issuewild other.test"), ["ca.test"], "other.test", id="wildcard"),
        pytest.param("*.a.test", ("issue ca.test",), ["ca.test"], None, id="wildcard by the plain record"),
    ],
)
def test_caa(name: str, caa: tuple[str, ...], identities: list[str], refused: str | None) -> None:
    found = caa_fault(Looked(name, caa=caa), identities)
    assert found is None if refused is None else refused in str(found)


def test_caa_is_looked_for_up_to_the_top() -> None:
    assert zones("*.a.b.test") == ["a.b.test", "b.test", "test"]
