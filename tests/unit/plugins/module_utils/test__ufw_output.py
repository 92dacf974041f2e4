# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._ufw_output import (
    Connection,
    parse_added,
    parse_connection,
    parse_order,
    parse_shell_file,
    ports_of_listeners,
    ports_of_socket,
    ports_of_sshd_config,
    refused_line,
    stored_policies,
    with_chains,
)


def test_what_ufw_says() -> None:
    added = "Added user rules (see 'ufw status' for running firewall):\nufw allow 22/tcp comment 'quayside: ssh'\n"
    assert parse_added(added) == ("allow 22/tcp comment 'quayside: ssh'",)
    assert parse_added("Added user rules (see 'ufw status' for running firewall):\n(None)\n") == ()
    assert parse_shell_file('# c\nENABLED=no\nIPV6="yes"\n') == {"ENABLED": "no", "IPV6": "yes"}
    assert stored_policies({"DEFAULT_INPUT_POLICY": "ACCEPT"}) == {
        "incoming": "ACCEPT",
        "outgoing": "ACCEPT",
        "routed": "DROP",
    }


def test_the_order_in_user_rules() -> None:
    text = (
        "### RULES ###\n\n### tuple ### deny any any 0.0.0.0/0 any 203.0.113.0/24 in\n-A ufw-user-input -j DROP\n\n"
        "### tuple ### allow tcp 5432 0.0.0.0/0 any 10.0.0.0/8 in_eth0 comment=78\n-A ufw-user-input -j ACCEPT\n"
    )
    assert parse_order(text) == (
        "deny any any 0.0.0.0/0 any 203.0.113.0/24 in",
        "allow tcp 5432 0.0.0.0/0 any 10.0.0.0/8 in_eth0",
    )


RULES = "# mine\n*filter\n:ufw-after-input - [0:0]\n-A ufw-after-input -j ufw-skip-to-policy-input\n-A bogus\nCOMMIT\n"


def test_a_file_of_rules_is_judged_with_the_chains_that_ufw_makes() -> None:
    text, added = with_chains(RULES)
    assert added == 1
    assert text.splitlines()[1:3] == ["*filter", ":ufw-skip-to-policy-input - [0:0]"]
    assert refused_line("iptables-restore: line 6 failed", RULES, added) == (
        "line 5 is '-A bogus' (iptables-restore: line 6 failed)"
    )
    assert refused_line("no such table\nTry `iptables-restore -h'", RULES, added) == "no such table"


def test_ports_of_ssh() -> None:
    assert ports_of_sshd_config("port 22\nport 2222\nlistenaddress [::]:22\nlistenaddress 0.0.0.0:2200\n") == {
        22,
        2222,
        2200,
    }
    listeners = (
        'LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))\n'
        'LISTEN 0 128 [::]:2022 [::]:* users:(("sshd",pid=1,fd=4))\n'
        'LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=2,fd=6))\n'
    )
    assert ports_of_listeners(listeners) == {22, 2022}
    active = "ActiveState=active\nListen=[::]:2200 (Stream)\nListen=0.0.0.0:2201 (Stream)\n"
    assert ports_of_socket(active) == {2200, 2201}
    assert ports_of_socket(active.replace("active", "inactive")) == set()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("192.0.2.1 50000 198.51.100.2 2222", Connection("192.0.2.1", 2222, 50000)),
        ("fe80::1%eth0 50000 fe80::2%eth0 22", Connection("fe80::1", 22, 50000)),
        ("::ffff:192.0.2.1 50000 ::ffff:198.51.100.2 22", Connection("192.0.2.1", 22, 50000)),
        ("", None),
        ("nonsense", None),
    ],
)
def test_the_connection_that_brought_us_here(value: str, expected: Connection | None) -> None:
    assert parse_connection(value) == expected
