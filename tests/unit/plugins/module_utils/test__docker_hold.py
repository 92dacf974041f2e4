# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _docker_hold
from ansible_collections.quayside.web.plugins.module_utils._docker_hold import bridges, hold_commands, release_commands

NAT = [
    "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
    "-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 8000 -j MASQUERADE",
    "-A DOCKER -i docker0 -j RETURN",
    "-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.17.0.3:8000",
]
FILTER = [
    "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
    "-A FORWARD -j DOCKER-USER",
    "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
    "-A DOCKER -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 8000 -j ACCEPT",
]


def lines(nat: list[str], rules: list[str]) -> list[str]:
    return [" ".join(command) for command in hold_commands(nat, rules)]


def test_published_ports_are_led_as_before() -> None:
    found = lines(NAT, FILTER)
    assert (
        "-t nat -A QUAYSIDE-HOLD -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8081 -j DNAT --to-destination "
        "172.17.0.3:8000" in found
    )
    assert "-t nat -A QUAYSIDE-HOLD-BACK -o docker0 -m addrtype --src-type LOCAL -j MASQUERADE" in found
    entry = "-A QUAYSIDE-HOLD -d 172.17.0.3/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 8000 -j ACCEPT"
    assert entry in found


def test_docker_user_still_decides_first() -> None:
    assert lines(NAT, FILTER)[-1] == "-I FORWARD 3 -j QUAYSIDE-HOLD"
    assert lines(NAT, FILTER[:1] + FILTER[2:])[-1] == "-I FORWARD 3 -j QUAYSIDE-HOLD"


def test_nothing_else_is_let_in() -> None:
    accepted = [line for line in lines(NAT, FILTER) if line.startswith("-A") and line.endswith("-j ACCEPT")]
    assert len(accepted) == 2
    assert all("--dport 8000" in line or "RELATED,ESTABLISHED" in line for line in accepted)


def test_where_nothing_is_published_nothing_is_held() -> None:
    assert lines(NAT[:-1], FILTER) == []


def test_all_that_was_made_is_taken_away() -> None:
    made = {command[command.index("-N") + 1] for command in hold_commands(NAT, FILTER) if "-N" in command}
    gone = {command[command.index("-X") + 1] for command in release_commands() if "-X" in command}
    assert made == gone
    jumps = [" ".join(c) for c in hold_commands(NAT, FILTER) if "-I" in c]
    removed = [" ".join(c) for c in release_commands() if "-D" in c]
    assert sorted(j.replace("-I", "-D").replace(" 3 ", " ") for j in jumps) == sorted(removed)


def test_bridges_of_docker() -> None:
    assert bridges(NAT) == ["docker0"]


class Broken(Exception):
    pass


def test_what_fails_in_between_leaves_nothing_behind() -> None:
    asked: list[str] = []

    def run(argv: list[str]) -> tuple[int, str, str]:
        asked.append(" ".join(argv))
        said = {"iptables -t nat -S": NAT, "iptables -S": FILTER}.get(" ".join(argv), [])
        return (0, "\n".join(said), "")

    with pytest.raises(Broken), _docker_hold.held(False, run, settle=0):
        asked.append("restart")
        raise Broken
    after = asked[asked.index("restart") :]
    assert [f"iptables -w {' '.join(command)}" for command in release_commands()] == after[2:]
    assert any("systemd-run" in line and "--on-active=120" in line for line in asked)
