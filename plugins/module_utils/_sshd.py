# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What sshd should accept, and whether that leaves somebody outside. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

#: sshd takes the first value that it reads, and reads this before the drop-ins of an installer or a cloud.
DROPIN = "/etc/ssh/sshd_config.d/00-quayside.conf"
KEYS_ONLY = {
    "PasswordAuthentication": "no",
    "KbdInteractiveAuthentication": "no",
    "PermitEmptyPasswords": "no",
}


class SshdError(ValueError):
    """A configuration that would leave somebody outside, or that sshd does not take; one sentence."""


def parse_effective(text: str) -> dict[str, str]:
    """`sshd -T`: a name in lower case and its value on each line; a name that comes again is joined."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _space, value = line.partition(" ")
        found[name] = f"{found[name]} {value}" if name in found else value
    return found


def settings_for(effective: Mapping[str, str]) -> dict[str, str]:
    """Keys only, and root not by password; where root may not come in at all it stays so."""
    root = "no" if effective.get("permitrootlogin") == "no" else "prohibit-password"
    return {**KEYS_ONLY, "PermitRootLogin": root}


def text_of(settings: Mapping[str, str]) -> str:
    lines = [f"{name} {value}" for name, value in settings.items()]
    return "\n".join(["# Set by quayside.web: hardening_sshd.", *lines]) + "\n"


def accepted_by(journal: str, user: str, client: str, client_port: int) -> str:
    """By what sshd let this connection in, or nothing when its journal does not reach back so far."""
    pattern = rf"^Accepted (\S+) for {re.escape(user)} from {re.escape(client)} port {client_port}\b"
    found = re.findall(pattern, journal, re.MULTILINE)
    return str(found[-1]) if found else ""


def key_files(effective: Mapping[str, str], user: str, home: str) -> list[str]:
    """Where sshd looks for the keys of a user."""
    paths = []
    for name in effective.get("authorizedkeysfile", ".ssh/authorized_keys").split():
        path = name.replace("%h", home).replace("%u", user).replace("%%", "%")
        if name != "none":
            paths.append(path if path.startswith("/") else f"{home}/{path}")
    return paths


def has_key(text: str) -> bool:
    """Does an authorized_keys hold a key?"""
    return any(re.search(r"(?:ssh-|ecdsa-|sk-)\S+ AAAA", line) for line in text.splitlines() if line[:1] != "#")


def other_ways(effective: Mapping[str, str]) -> bool:
    """Can a key be accepted that is in no file, by a command or by a certificate?"""
    return any(effective.get(name, "none") != "none" for name in ("authorizedkeyscommand", "trustedusercakeys"))


def check_access(user: str, method: str, files: Sequence[str], keyed: bool) -> None:
    """Refuse when the one who connects could not connect again.

    Raises:
        SshdError: it came in with a password, or has nothing else.
    """
    if method and method != "publickey" and not method.startswith(("gssapi", "hostbased")):
        raise SshdError(
            f"hardening_sshd would lock out '{user}': this very connection was let in by {method}; connect with a key "
            "(ansible_ssh_private_key_file) first, then run again"
        )
    if not method and not keyed:
        raise SshdError(
            f"hardening_sshd would lock out '{user}', who has no key in {' or '.join(files)}; add one first, as with "
            "ansible.posix.authorized_key, then run again"
        )


def not_in_force(settings: Mapping[str, str], effective: Mapping[str, str]) -> list[str]:
    """What sshd would do otherwise, in its own words."""
    wrong = []
    for name, value in settings.items():
        found = effective.get(name.lower(), "").replace("without-password", "prohibit-password")
        if found != value:
            wrong.append(f"{name} {found or 'unset'}")
    return wrong


def explain(wrong: Iterable[str]) -> str:
    return (
        f"sshd would still have {', '.join(wrong)}: a line in /etc/ssh/sshd_config stands before its Include of "
        "sshd_config.d, or in a Match block; remove that line, then run again"
    )
