# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""age's keys and format, without touching a disk: which recipients are accepted, what an identity file is."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Sequence

from ._pg_repository import BackupError

_FORMS = "age1… (from age-keygen -y), ssh-ed25519 … and ssh-rsa … are accepted"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_X25519_LENGTH = 62
_RSA_BITS = 2048
_CHUNK = 64 * 1024
_TAG = 16
_NONCE = 16


def check_recipients(value: object) -> tuple[str, ...]:
    """The public keys in value, each once; nothing given is no encryption, but an empty list is a mistake."""
    if value is None:
        return ()
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, (list, tuple)):
        raise BackupError(f"recipients is {_kind(value)}; a list of public keys is expected: {_FORMS}.")
    if not entries:
        raise BackupError("recipients is empty, which would encrypt to nobody; list a public key, or remove encrypt.")
    checked = [_check_recipient(entry, number) for number, entry in enumerate(entries, 1)]
    return tuple(dict.fromkeys(checked))


def _check_recipient(entry: object, number: int) -> str:
    # What is not surely public is never shown: people paste the wrong half of a key.
    where = f"Recipient {number}"
    if not isinstance(entry, str):
        raise BackupError(f"{where} is {_kind(entry)}; {_FORMS}.")
    text = entry.strip()
    if "AGE-SECRET-KEY" in text.upper() or "PRIVATE KEY" in text.upper():
        raise BackupError(
            f"{where} is a PRIVATE key, which must never be on the host; use its public half (age-keygen -y FILE), "
            "and make a new key if this one has left its place."
        )
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise BackupError(f"{where} has a line break or control character; give each key an entry of its own.")
    if text.startswith("age1"):
        _check_age(text, where)
    elif text.startswith("ssh-") and text.split()[0] in ("ssh-ed25519", "ssh-rsa"):
        _check_ssh(text, where)
    elif text.startswith(("ssh-", "ecdsa-", "sk-ssh", "sk-ecdsa")):
        raise BackupError(f"{where} is an SSH key of a type that age cannot encrypt to; {_FORMS}.")
    else:
        raise BackupError(f"{where} is not a public key; {_FORMS}.")
    return text


def _check_age(text: str, where: str) -> None:
    if "1" in text[4:]:
        raise BackupError(f"{where} ({text[:20]}…) needs an age plugin, which is not supported; {_FORMS}.")
    strange = sorted({letter for letter in text[4:] if letter not in _BECH32})
    if strange:
        raise BackupError(f"{where} ({text[:12]}…) has {strange[0]!r}, which no age key contains; copy it again.")
    if len(text) != _X25519_LENGTH:
        raise BackupError(
            f"{where} ({text[:12]}…) has {len(text)} characters instead of {_X25519_LENGTH}; copy the whole key."
        )
    if not bech32_matches(text):
        raise BackupError(f"{where} ({text[:12]}…) has a typo: its checksum does not match; copy it again.")


def bech32_matches(text: str) -> bool:
    """Whether the last six characters are the checksum of the rest (BIP 173)."""
    prefix, _one, data = text.rpartition("1")
    values = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
    values += [_BECH32.index(letter) for letter in data]
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_BECH32_GENERATORS):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum == 1


def _check_ssh(text: str, where: str) -> None:
    kind, encoded = text.split()[:2] if len(text.split()) > 1 else (text, "")
    try:
        fields = _ssh_fields(base64.b64decode(encoded, validate=True))
    except (ValueError, struct.error):
        fields = []
    if not fields or fields[0] != kind.encode() or len(fields) != (2 if kind == "ssh-ed25519" else 3):
        raise BackupError(f"{where} ({kind} …) is not a whole key; copy the line of the .pub file again.")
    if kind == "ssh-ed25519" and len(fields[1]) != 32:
        raise BackupError(f"{where} ({kind} …) is not a whole key; copy the line of the .pub file again.")
    bits = int.from_bytes(fields[-1], "big").bit_length()
    if kind == "ssh-rsa" and bits < _RSA_BITS:
        raise BackupError(f"{where} is an RSA key of {bits} bits; age wants {_RSA_BITS} or more, or an age1… key.")


def _ssh_fields(blob: bytes) -> list[bytes]:
    fields = []
    while blob:
        (length,) = struct.unpack_from(">I", blob)
        if length > len(blob) - 4:
            raise ValueError("a field is cut")
        fields.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return fields


def describe_identity(content: bytes) -> str:
    """Why this is not an identity that can be used without a person; empty when it may be one."""
    text = content.decode("utf-8", "replace")
    if text.startswith(("age-encryption.org/v1", "-----BEGIN AGE ENCRYPTED FILE-----")) or _behind_passphrase(text):
        return "is behind a passphrase, which is not supported; decrypt it into a private file first, and remove that."
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if any(line.startswith("AGE-SECRET-KEY-1") for line in lines) or "PRIVATE KEY-----" in text:
        return ""
    if any(line.startswith(("age1", "ssh-")) for line in lines):
        return "holds a public key; the private one is needed (AGE-SECRET-KEY-… or an OpenSSH private key)."
    return "holds no private key; name the file that age-keygen wrote, or an OpenSSH private key."


def _behind_passphrase(text: str) -> bool:
    if "Proc-Type: 4,ENCRYPTED" in text or "BEGIN ENCRYPTED PRIVATE KEY" in text:
        return True
    found = re.search(r"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", text, re.DOTALL)
    if not found:
        return False
    try:
        blob = base64.b64decode("".join(found[1].split()))
    except binascii.Error:
        return False
    # After the magic word comes the name of the cipher.
    return blob.startswith(b"openssh-key-v1\0") and not blob[15:].startswith(b"\0\0\0\4none")


def sealed_size(head: bytes, plain_bytes: int) -> int:
    """How long a whole age file of so many bytes is, whose first bytes these are; 0 if its header has no end."""
    end = re.search(rb"\n--- [A-Za-z0-9+/]{43}\n", head)
    if end is None:
        return 0
    chunks = max(1, -(-plain_bytes // _CHUNK))
    return end.end() + _NONCE + plain_bytes + chunks * _TAG


def _kind(value: object) -> str:
    if isinstance(value, Sequence):
        return "a list"
    return "a mapping" if isinstance(value, dict) else f"of type {type(value).__name__}"
