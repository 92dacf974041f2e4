# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Who listens on a port."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils._listeners import (
    Listener,
    intruders,
    listeners_on,
    parse_tcp,
    sentence,
    unit_of,
)

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(address: str, state: str = "0A", inode: int = 77) -> str:
    return f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0\n"


@pytest.mark.parametrize(
    ("address", "shown", "port"),
    [
        ("00000000:0050", "0.0.0.0", 80),
        ("0100007F:4E70", "127.0.0.1", 20080),
        ("00000000000000000000000000000000:01BB", "::", 443),
        ("B80D0120000000000000000001000000:01BB", "2001:db8::1", 443),
    ],
)
def test_addresses(address: str, shown: str, port: int) -> None:
    (found,) = parse_tcp(HEAD + row(address))
    assert (found.address, found.port, found.inode) == (shown, port, "77")


def test_only_listening_sockets_count() -> None:
    assert parse_tcp(HEAD + row("00000000:0050", state="01") + "short\n") == []


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/apache2.service\n", "apache2.service"),
        ("5:pids:/system.slice/caddy.service/sub\n1:name=systemd:/system.slice/caddy.service\n", "caddy.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", None),
        ("", None),
    ],
)
def test_units(cgroup: str, unit: str | None) -> None:
    assert unit_of(cgroup) == unit


def test_an_intruder_is_named_once_per_port() -> None:
    nginx = Listener("0.0.0.0", 80, "nginx", 1)
    apache4, apache6 = Listener("0.0.0.0", 443, "apache2", 2), Listener("::", 443, "apache2", 2)
    assert intruders([nginx, apache4, apache6], ["nginx"]) == [apache4]
    assert intruders([nginx], ["nginx"]) == []


@pytest.mark.parametrize(
    ("listener", "words"),
    [
        (
            Listener("0.0.0.0", 80, "apache2", 812, "apache2.service"),
            [
                "port 80: apache2 (pid 812) listens on 0.0.0.0:80, but nginx needs",
                "systemctl disable --now apache2.service",
            ],
        ),
        (Listener("::", 80, "systemd", 1), ["systemd (pid 1) listens", "stop the socket unit that"]),
        (Listener("::", 443, "caddy", 9), ["caddy (pid 9) listens on [::]:443", "stop process 9"]),
        (Listener("127.0.0.1", 80), ["a process that only root can see", "ss -ltnp sport = :80"]),
    ],
)
def test_sentences(listener: Listener, words: list[str]) -> None:
    text = sentence(listener, "nginx")
    assert all(word in text for word in words), text


def test_a_real_listener_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (found,) = listeners_on([port])
        assert (found.address, found.port, found.pid) == ("127.0.0.1", port, os.getpid())
        assert found.process == Path("/proc/self/comm").read_text().strip()
    assert listeners_on([port]) == []


def test_another_users_process_stays_unnamed(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(HEAD + row("00000000:0050"))
    assert listeners_on([80], tmp_path) == [Listener("0.0.0.0", 80)]
