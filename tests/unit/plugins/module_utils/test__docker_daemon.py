# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._docker_daemon import (
    DaemonError,
    Plan,
    State,
    check,
    flags_of_unit,
    major,
    make_plan,
    parse_version,
    reason,
    to_text,
    trial,
)

OURS = {"live-restore": True, "icc": False}
RUNNING = State(
    version="26.1.5",
    file=OURS,
    effective=OURS,
    ours=OURS,
    active=True,
    boot=True,
    info={"LiveRestoreEnabled": True, "Containers": 3, "ContainersRunning": 2},
)


def state(**changes: Any) -> State:
    return replace(RUNNING, **changes)


@pytest.mark.parametrize(
    ("found", "options", "expected"),
    [
        pytest.param(RUNNING, OURS, Plan(OURS), id="nothing"),
        pytest.param(State(version="26"), OURS, Plan(OURS, write=True, how="start", boot=True), id="a-bare-host"),
        pytest.param(
            RUNNING, {**OURS, "debug": True}, Plan({**OURS, "debug": True}, write=True, how="reload"), id="reloadable"
        ),
        pytest.param(
            RUNNING, {**OURS, "icc": True}, Plan({**OURS, "icc": True}, write=True, how="restart"), id="not-reloadable"
        ),
        pytest.param(
            state(file={**OURS, "debug": True}, effective={**OURS, "debug": True}, ours={**OURS, "debug": True}),
            OURS,
            Plan(OURS, write=True, how="restart"),
            id="an-option-of-ours-goes-away",
        ),
        pytest.param(
            state(file={**OURS, "mtu": 1400}, effective={**OURS, "mtu": 1400}),
            OURS,
            Plan({**OURS, "mtu": 1400}, kept=("mtu",)),
            id="somebody-elses-option-stays",
        ),
        pytest.param(
            state(file={**OURS, "mtu": 1400}, effective={**OURS, "mtu": 1400}),
            {**OURS, "mtu": None},
            Plan(OURS, write=True, how="restart"),
            id="unless-it-is-taken-out",
        ),
        pytest.param(state(effective={"icc": True}), OURS, Plan(OURS, how="restart"), id="written-and-not-in-force"),
        pytest.param(state(boot=False), OURS, Plan(OURS, boot=True), id="not-at-boot"),
        pytest.param(
            state(file=None, effective={}, ours={}, info={"ContainersRunning": 2, "LiveRestoreEnabled": False}),
            OURS,
            Plan(OURS, write=True, how="restart", keep_running=True),
            id="containers-of-an-engine-that-would-stop-them",
        ),
        pytest.param(
            state(file=None, effective={}, ours={}, info={"ContainersRunning": 0}),
            OURS,
            Plan(OURS, write=True, how="restart"),
            id="no-containers-to-lose",
        ),
    ],
)
def test_only_what_is_needed_is_planned(found: State, options: dict[str, Any], expected: Plan) -> None:
    plan = make_plan(found, options)
    assert plan == expected
    assert plan.changed is (expected != Plan(plan.content, kept=plan.kept))


@pytest.mark.parametrize(
    ("found", "options", "told"),
    [
        pytest.param(
            RUNNING,
            {**OURS, "data-root": "/mnt/x"},
            "3 containers of this host live in /var/lib/docker",
            id="data-root",
        ),
        pytest.param(
            state(info={**RUNNING.info, "Swarm": {"LocalNodeState": "active"}}), OURS, "part of a swarm", id="swarm"
        ),
        pytest.param(
            RUNNING, {"live-restore": False, "icc": True}, "without live-restore stops 2 containers", id="would-stop"
        ),
    ],
)
def test_what_would_cost_containers_is_refused(found: State, options: dict[str, Any], told: str) -> None:
    with pytest.raises(DaemonError) as error:
        make_plan(found, options)
    assert told in str(error.value)


def test_containers_are_stopped_when_that_is_said() -> None:
    plan = make_plan(RUNNING, {"live-restore": False, "icc": True}, stop_containers=True)
    assert (plan.how, plan.keep_running) == ("restart", False)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"firewall-backend": "nftables"}, "firewall-backend is 'nftables', accepted is iptables"),
        ({"hosts": ["fd://", "tcp://0.0.0.0:2375"]}, "tcp://0.0.0.0:2375 without tlsverify"),
        ({"ip6tables": True}, "Docker 20.10.24 does not ask DOCKER-USER over IPv6"),
        ({"log-opts": {"max-size": "ten"}}, "docker_log_max_size is 'ten'"),
    ],
)
def test_what_an_engine_would_take_and_nobody_should_want(options: dict[str, Any], told: str) -> None:
    with pytest.raises(DaemonError) as error:
        check(options, "20.10.24")
    assert told in str(error.value)


def test_good_options_pass() -> None:
    check({"firewall-backend": "iptables", "hosts": ["tcp://10.0.0.1:2376"], "tlsverify": True})
    check({"log-opts": {"max-size": "10m"}, "ip6tables": True}, "26.1.5")


UNIT = (
    "ExecStart={ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd -H fd:// "
    "--containerd=/run/containerd/containerd.sock $DOCKER_OPTS ; ignore_errors=no ; start_time=[n/a] }"
)


def test_the_trial_has_the_units_flags_and_nothing_of_the_hosts() -> None:
    flags = flags_of_unit(UNIT)
    assert flags == ["-H", "fd://", "--containerd=/run/containerd/containerd.sock"]
    options, argv = trial({"icc": False, "data-root": "/srv/d"}, flags, "/run/t", "/srv/d/t")
    assert argv == ["--containerd=/run/containerd/containerd.sock", "-H", "unix:///run/t/socket"]
    assert options == {
        "icc": False,
        "data-root": "/srv/d/t",
        "exec-root": "/run/t/exec",
        "pidfile": "/run/t/pid",
        "containerd-namespace": "quayside-trial",
    }


@pytest.mark.parametrize(
    ("flags", "argv", "hosts"),
    [
        ([], [], ["unix:///f/socket"]),
        (["--data-root", "/x", "--debug"], ["--debug"], ["unix:///f/socket"]),
        (["--host=fd://"], ["-H", "unix:///f/socket"], ["tcp://10.0.0.1:2376"]),
    ],
    ids=["no-flags", "a-folder-of-the-hosts", "both-places-say-hosts"],
)
def test_where_the_trial_listens(flags: list[str], argv: list[str], hosts: list[str]) -> None:
    options, found = trial({"hosts": ["tcp://10.0.0.1:2376"]}, flags, "/f", "/r")
    assert (found, options["hosts"]) == (argv, hosts)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "unable to configure the Docker daemon with file /run/q/daemon.json: the following directives don't match "
            "any configuration option: bogus\n",
            "the following directives don't match any configuration option: bogus",
        ),
        (
            'time="2026" level=info msg="Starting up"\nfailed to start daemon: Error initializing network controller: '
            "invalid CIDR address: 10.300.1.1/24\n",
            "Error initializing network controller: invalid CIDR address: 10.300.1.1/24",
        ),
        ('time="2026" level=fatal msg="no space left"', "no space left"),
        ("", "it ended without a word"),
    ],
)
def test_the_engines_own_last_word(said: str, expected: str) -> None:
    assert reason(said) == expected


def test_versions() -> None:
    assert parse_version("Docker version 20.10.24+dfsg1, build 297e128\n") == "20.10.24"
    assert (major("20.10.24"), major("")) == (20, 0)


def test_the_file_is_json_in_a_fixed_order() -> None:
    text = to_text({"b": 1, "a": [1]})
    assert json.loads(text) == {"a": [1], "b": 1}
    assert text.index('"a"') < text.index('"b"')
