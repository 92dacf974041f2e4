# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Whether a name can be proved at all, judged by what was found before the ACME server is asked. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Reached:
    """What an address of the name answered on port 80 when it was asked for a token of our own.

    Attributes:
        found: in words, where it was not the token.
        refused: nothing answered at all.
    """

    ok: bool
    found: str = ""
    refused: bool = False


@dataclass(frozen=True)
class Looked:
    """What was found out about one name. `trouble` is what DNS could not say."""

    name: str
    addresses: tuple[str, ...] = ()
    caa: tuple[str, ...] = ()
    trouble: str = ""


def zones(name: str) -> list[str]:
    """The names whose CAA records count, nearest first: RFC 8659 climbs to the top."""
    labels = name.removeprefix("*.").split(".")
    return [".".join(labels[at:]) for at in range(len(labels))]


def fault(
    looked: Looked,
    own: Collection[str],
    declared: Collection[str],
    identities: Sequence[str],
    reach: Callable[[str], Reached],
) -> str | None:
    """Say in one sentence why a name can't be proved over HTTP, or None.

    Args:
        own: the addresses of this host; `declared` those that the user says lead to it.
        identities: what the ACME server calls itself in CAA records; none if it does not say.
        reach: asks one address for a token of our own, by the name, on port 80.
    """
    if looked.trouble:
        return f"{looked.name}: DNS {looked.trouble}."
    refused = _caa_fault(looked, identities)
    if refused or not looked.addresses:
        here = ", ".join(sorted(declared or own)) or "this host's"
        return refused or f"{looked.name}: DNS has no address for it; add an A or AAAA record with {here}."
    for address in looked.addresses:
        reached = reach(address)
        # From inside, an address in front of a router often can't be asked: then the user's word counts.
        if reached.ok or (reached.refused and address in declared):
            continue
        return f"{looked.name}: {_unreached(address, reached, own, declared)}."
    return None


def _unreached(address: str, reached: Reached, own: Collection[str], declared: Collection[str]) -> str:
    known = declared or own
    if address in {*own, *declared}:
        return f"DNS says {address}, which is this host, and port 80 there {reached.found} for a token of our own"
    return (
        f"DNS says {address}, where port 80 {reached.found} for a token of our own; this host has "
        f"{', '.join(sorted(known))}; correct the record, or declare the address if another machine passes port 80 on"
    )


def caa_fault(looked: Looked, identities: Sequence[str]) -> str | None:
    """What CAA says against this authority: all there is to check for a name that is proved over DNS."""
    return f"{looked.name}: DNS {looked.trouble}." if looked.trouble else _caa_fault(looked, identities)


def _caa_fault(looked: Looked, identities: Sequence[str]) -> str | None:
    wild = looked.name.startswith("*.")
    allowed = list(_issuers(looked.caa, "issuewild")) if wild else []
    allowed = allowed or list(_issuers(looked.caa, "issue"))
    if not allowed or not identities or set(allowed) & set(identities):
        return None
    names = ", ".join(issuer for issuer in allowed if issuer) or "nobody"
    return (
        f"{looked.name}: CAA lets {names} issue certificates, and this ACME server is {identities[0]}; add the record "
        f'0 issue "{identities[0]}".'
    )


def _issuers(caa: Iterable[str], tag: str) -> Iterable[str]:
    for record in caa:
        found, _blank, value = record.partition(" ")
        if found == tag:
            yield value.partition(";")[0].strip().lower()
