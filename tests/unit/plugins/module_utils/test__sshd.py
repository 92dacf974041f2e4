# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._sshd import (
    SshdError,
    accepted_by,
    check_access,
    explain,
    has_key,
    key_files,
    not_in_force,
    other_ways,
    parse_effective,
    settings_for,
    text_of,
)

STOCK = "port 22\npermitrootlogin without-password\npasswordauthentication yes\nkbdinteractiveauthentication no\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOh me@here"
JOURNAL = (
    "Accepted publickey for deploy from 192.0.2.1 port 50000 ssh2: ED25519 SHA256:x\n"
    "Accepted password for deploy from 192.0.2.1 port 50001 ssh2\n"
    "Accepted publickey for deploy from 192.0.2.10 port 50001 ssh2: ED25519 SHA256:x\n"
)


def test_keys_only_and_root_no_further_than_before() -> None:
    settings = settings_for(parse_effective(STOCK))
    assert settings["PasswordAuthentication"] == settings["KbdInteractiveAuthentication"] == "no"
    assert settings["PermitRootLogin"] == "prohibit-password"
    assert settings_for({"permitrootlogin": "no"})["PermitRootLogin"] == "no"
    assert "\nPasswordAuthentication no\n" in text_of(settings)


def test_names_that_come_again_are_joined() -> None:
    assert parse_effective("port 22\nport 2222\n") == {"port": "22 2222"}


@pytest.mark.parametrize(
    ("client", "port", "method"),
    [
        ("192.0.2.1", 50000, "publickey"),
        ("192.0.2.1", 50001, "password"),
        ("192.0.2.10", 50001, "publickey"),
        ("192.0.2.1", 5000, ""),
        ("192.0.2.1", 40000, ""),
    ],
)
def test_how_this_connection_came_in(client: str, port: int, method: str) -> None:
    assert accepted_by(JOURNAL, "deploy", client, port) == method


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        (
            ".ssh/authorized_keys .ssh/authorized_keys2",
            ["/home/me/.ssh/authorized_keys", "/home/me/.ssh/authorized_keys2"],
        ),
        ("/etc/ssh/keys/%u %h/keys", ["/etc/ssh/keys/me", "/home/me/keys"]),
        ("none", []),
    ],
)
def test_where_keys_are_looked_for(configured: str, expected: list[str]) -> None:
    assert key_files({"authorizedkeysfile": configured}, "me", "/home/me") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KEY, True),
        (f'from="10.0.0.0/8",no-pty {KEY}', True),
        ("sk-ssh-ed25519@openssh.com AAAAGnNr me", True),
        (f"# {KEY}\n\n", False),
        ("", False),
    ],
)
def test_an_authorized_keys_with_and_without_a_key(text: str, expected: bool) -> None:
    assert has_key(text) is expected


def test_keys_that_are_in_no_file() -> None:
    assert other_ways({"authorizedkeyscommand": "/usr/bin/keys", "trustedusercakeys": "none"})
    assert other_ways({"trustedusercakeys": "/etc/ssh/ca.pub"})
    assert not other_ways({"authorizedkeyscommand": "none"})


@pytest.mark.parametrize(
    ("method", "keyed", "told"),
    [
        ("password", True, "this very connection was let in by password"),
        ("keyboard-interactive/pam", True, "let in by keyboard-interactive/pam"),
        ("", False, "who has no key in /home/me/.ssh/authorized_keys"),
    ],
)
def test_who_could_not_come_back_is_not_locked_out(method: str, keyed: bool, told: str) -> None:
    with pytest.raises(SshdError, match="would lock out 'me'") as error:
        check_access("me", method, ["/home/me/.ssh/authorized_keys"], keyed)
    assert told in str(error.value)


@pytest.mark.parametrize(("method", "keyed"), [("publickey", False), ("", True), ("gssapi-with-mic", False)])
def test_who_has_a_key_may_go_on(method: str, keyed: bool) -> None:
    check_access("me", method, [], keyed)


def test_what_sshd_would_do_otherwise_is_named() -> None:
    settings = settings_for(parse_effective(STOCK))
    wrong = not_in_force(settings, parse_effective(STOCK + "permitemptypasswords no\n"))
    assert wrong == ["PasswordAuthentication yes"]
    assert "sshd would still have PasswordAuthentication yes: a line in" in explain(wrong)
