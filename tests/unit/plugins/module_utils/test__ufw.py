# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _ufw_docker
from ansible_collections.quayside.web.plugins.module_utils._ufw import (
    Plan,
    State,
    Wanted,
    describe,
    make_plan,
    not_in_force,
    stored_form,
)
from ansible_collections.quayside.web.plugins.module_utils._ufw_rules import Rule

POLICIES = {"incoming": "deny", "outgoing": "allow", "routed": "deny"}
STORED = {"incoming": "DROP", "outgoing": "ACCEPT", "routed": "DROP"}
KERNEL = ("-P INPUT DROP", "-P FORWARD DROP", "-P OUTPUT ACCEPT")
SSH = Rule(port="22", comment="quayside: ssh")
WEB = Rule(port="80", comment="HTTP")
BAD = Rule("any", "any", source="203.0.113.0/24", action="deny")
CROWD = Rule("8080", action="limit")
HAND = "allow 9999/tcp comment 'by hand'"


def wanted_of(*rules: Rule, **options: Any) -> Wanted:
    return Wanted(rules=rules, policies=POLICIES, **options)


def live_of(*rules: Rule, wanted: Wanted) -> dict[int, tuple[str, ...]]:
    return {
        version: (
            *KERNEL,
            *(line for rule in rules if version in rule.versions for line in rule.live(version)),
            *wanted.chain(version),
        )
        for version in (4, 6)
    }


def converged(*rules: Rule, wanted: Wanted | None = None) -> State:
    """A host on which these rules, in this order, have been applied."""
    wanted = wanted or wanted_of(*rules)
    return State(
        installed=True,
        enabled=True,
        policies=STORED,
        added=tuple(rule.command() for rule in rules),
        live=live_of(*rules, wanted=wanted),
        order={v: tuple(stored_form(rule, v) for rule in rules if v in rule.versions) for v in (4, 6)},
        after={version: _ufw_docker.with_block("COMMIT\n", wanted.chain(version), "") for version in (4, 6)},
    )


def steps(plan: Plan) -> dict[str, Any]:
    return {name: value for name, value in vars(plan).items() if value}


def test_a_bare_host_gets_everything() -> None:
    plan = make_plan(State(), wanted_of(SSH, WEB))
    assert plan.changed
    assert plan.rules == (SSH, WEB)
    assert plan.enable
    assert not plan.reload


GOOD = converged(SSH, WEB)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param(GOOD, {}, id="nothing"),
        pytest.param(converged(SSH), {"rules": (WEB,)}, id="a-new-rule"),
        pytest.param(replace(GOOD, enabled=False), {"enable": True}, id="disabled"),
        pytest.param(replace(GOOD, boot=False), {"boot": True}, id="not-at-boot"),
        pytest.param(replace(GOOD, logging="off"), {"logging": "low"}, id="logging"),
        pytest.param(replace(GOOD, ipv6=False), {"ipv6": True, "reload": True}, id="no-ipv6"),
        pytest.param(
            replace(GOOD, policies={**STORED, "incoming": "ACCEPT"}), {"policies": (("incoming", "deny"),)}, id="policy"
        ),
        pytest.param(
            replace(GOOD, live=live_of(SSH, wanted=wanted_of())),
            {"rules": (WEB,), "reload": True},
            id="flushed-by-hand",
        ),
        pytest.param(
            replace(GOOD, live={4: ("-P INPUT ACCEPT", *GOOD.live[4][1:])}), {"reload": True}, id="policy-not-in-force"
        ),
        pytest.param(replace(GOOD, added=(*GOOD.added, HAND)), {"undeclared": (HAND,)}, id="somebody-elses-rule-stays"),
        pytest.param(
            replace(GOOD, added=(*GOOD.added, HAND), recorded=["allow 9999/tcp"]),
            {"removed": ("allow 9999/tcp",)},
            id="our-own-no-longer-declared",
        ),
        pytest.param(
            replace(GOOD, added=(SSH.command(), "allow 80/tcp comment 'old'")), {"rules": (WEB,)}, id="a-new-comment"
        ),
        pytest.param(
            replace(GOOD, live={4: GOOD.live[4], 6: GOOD.live[6][:-2]}), {"chains": (6,)}, id="docker-user-shortened"
        ),
        pytest.param(
            replace(GOOD, after={4: GOOD.after[4], 6: "COMMIT\n"}),
            {"files": {6: GOOD.after[6]}},
            id="docker-user-lost-at-boot",
        ),
    ],
)
def test_only_what_differs_is_planned(state: State, expected: dict[str, Any]) -> None:
    plan = make_plan(state, wanted_of(SSH, WEB))
    assert steps(plan) == expected
    assert plan.changed is bool(set(expected) - {"undeclared"})


def test_with_purge_nothing_undeclared_stays() -> None:
    state = replace(GOOD, added=(*GOOD.added, HAND, "allow 'Nginx Full'"))
    assert make_plan(state, wanted_of(SSH, WEB, purge=True)).removed == ("allow 9999/tcp", "allow 'Nginx Full'")


@pytest.mark.parametrize(
    ("there", "wanted", "rules", "moved"),
    [
        pytest.param([SSH, WEB], [BAD, SSH, WEB], [BAD], [], id="a-new-refusal-goes-first-by-itself"),
        pytest.param([SSH, BAD, WEB], [BAD, SSH, WEB], [], [BAD], id="a-refusal-behind-an-opening"),
        pytest.param([SSH, CROWD], [SSH, WEB, CROWD], [WEB], [CROWD], id="an-opening-behind-a-limit"),
        pytest.param([BAD, SSH, WEB, CROWD], [BAD, SSH, WEB, CROWD], [], [], id="in-order"),
    ],
)
def test_the_order_that_decides(there: list[Rule], wanted: list[Rule], rules: list[Rule], moved: list[Rule]) -> None:
    plan = make_plan(converged(*there), wanted_of(*wanted))
    assert list(plan.rules) == rules
    assert list(plan.moved) == moved


def test_a_rule_that_turns_around_is_made_anew() -> None:
    refusal = Rule("80", action="deny")
    plan = make_plan(converged(SSH, Rule("80")), wanted_of(refusal, SSH))
    assert (plan.rules, plan.removed) == ((refusal,), ("allow 80/tcp",))


def test_allow_becomes_limit_in_its_place_and_moves_behind_the_others() -> None:
    limited = Rule("22", action="limit")
    plan = make_plan(converged(Rule("22"), WEB), wanted_of(WEB, limited))
    assert (plan.rules, plan.removed, plan.moved) == ((limited,), (), (limited,))


def test_published_ports_are_in_docker_user_and_not_in_ufw() -> None:
    published = Rule("8443", source="10.0.0.0/8", docker=True)
    plan = make_plan(GOOD, wanted_of(SSH, WEB, published))
    assert (plan.rules, sorted(plan.chains), sorted(plan.files)) == ((), [4], [4])
    assert "--ctorigdstport 8443" in plan.files[4]


def test_docker_user_is_given_back() -> None:
    plan = make_plan(GOOD, wanted_of(SSH, WEB, docker=False))
    assert plan.files == {4: "COMMIT\n", 6: "COMMIT\n"}
    assert sorted(plan.chains) == [4, 6]
    freed = replace(GOOD, after={4: "COMMIT\n", 6: "COMMIT\n"})
    assert not make_plan(freed, wanted_of(SSH, WEB, docker=False)).changed


def test_a_rule_without_a_comment_is_content_with_any() -> None:
    assert not make_plan(converged(WEB), wanted_of(Rule(port="80"))).changed


def test_the_diff_shows_what_an_administrator_would_read() -> None:
    state = State(
        installed=True, policies=STORED, added=("allow 80/tcp comment 'old'", HAND), recorded=["allow 9999/tcp"]
    )
    wanted = wanted_of(SSH, WEB)
    diff = describe(state, wanted, make_plan(state, wanted))
    assert "enabled: false" in diff["before"]
    assert diff["after"].splitlines()[-2:] == ["allow 22/tcp comment 'quayside: ssh'", "allow 80/tcp comment 'HTTP'"]
    assert "old" not in diff["after"]
    assert "9999" not in diff["after"]


def test_what_is_not_in_force_is_named() -> None:
    state = replace(converged(SSH), live={4: ("-P INPUT ACCEPT", *SSH.live(4))})
    assert not_in_force(state, wanted_of(SSH, WEB)) == [
        "default deny incoming, allow outgoing, deny routed",
        "allow 80/tcp comment 'HTTP'",
        "the chain DOCKER-USER",
    ]
    assert not_in_force(GOOD, wanted_of(SSH, WEB)) == []


def test_a_refusal_is_in_force_whatever_its_way_of_refusing() -> None:
    rule = Rule("25", action="reject")
    lines = {4: (*KERNEL, f"{rule.live(4)[0]} --reject-with tcp-reset", *wanted_of().chain(4))}
    assert not_in_force(replace(GOOD, live=lines), wanted_of(rule)) == []
