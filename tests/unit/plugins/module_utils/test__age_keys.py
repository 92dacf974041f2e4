# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import base64
import struct

import pytest
from ansible_collections.quayside.web.plugins.module_utils._age_keys import (
    check_recipients,
    describe_identity,
    sealed_size,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError

# The two keys of age's own documentation.
AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
OTHER = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"
SECRET = "AGE-SECRET-KEY-1QQPQZRFR7ZZ2WCVEHHUEXQQVNS2G0S9P8WZ0RKWSDDQKQ0GGZ6UQ8DWUEY"


def ssh(kind: str, *fields: bytes) -> str:
    blob = b"".join(struct.pack(">I", len(field)) + field for field in (kind.encode(), *fields))
    return f"{kind} {base64.b64encode(blob).decode()} root@web1"


ED25519 = ssh("ssh-ed25519", b"k" * 32)
RSA = ssh("ssh-rsa", b"\1\0\1", b"\0\xff" + b"n" * 255)
SHORT_RSA = ssh("ssh-rsa", b"\1\0\1", b"\0\xff" + b"n" * 127)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, (), id="nothing is no encryption"),
        pytest.param(AGE, (AGE,), id="one as text"),
        pytest.param([f" {AGE}\n", ED25519, RSA, AGE], (AGE, ED25519, RSA), id="several, each once, trimmed"),
        pytest.param((OTHER,), (OTHER,), id="a tuple"),
    ],
)
def test_public_keys_are_accepted(value: object, expected: tuple[str, ...]) -> None:
    assert check_recipients(value) == expected


@pytest.mark.parametrize(
    ("value", "said"),
    [
        pytest.param([], "encrypt to nobody", id="empty"),
        pytest.param({"a": 1}, "recipients is a mapping", id="mapping"),
        pytest.param([7], "Recipient 1 is of type int", id="number"),
        pytest.param([AGE, "age1"], "Recipient 2 (age1…) has 4 characters instead of 62", id="cut to nothing"),
        pytest.param([AGE[:-1]], "has 61 characters instead of 62", id="cut"),
        pytest.param([AGE[:20] + "b" + AGE[21:]], "has 'b', which no age key contains", id="a letter of no age key"),
        pytest.param([AGE[:20] + "7" + AGE[21:]], "has a typo", id="typo"),
        pytest.param([AGE[:20] + AGE[21] + AGE[20] + AGE[22:]], "has a typo", id="two letters swapped"),
        pytest.param([AGE.upper()], "is not a public key", id="upper case"),
        pytest.param(["age1yubikey1q2w3"], "needs an age plugin", id="plugin"),
        pytest.param([f"{AGE}\n{OTHER}"], "an entry of its own", id="two in one"),
        pytest.param([f"{AGE}\0"], "control character", id="control character"),
        pytest.param([ssh("ssh-ed25519", b"k" * 31)], "not a whole key", id="short ed25519"),
        pytest.param([ED25519[:40]], "not a whole key", id="cut ssh"),
        pytest.param(["ssh-ed25519 "], "not a whole key", id="only the type"),
        pytest.param([ED25519.replace("ssh-ed25519", "ssh-rsa")], "not a whole key", id="another type inside"),
        pytest.param([SHORT_RSA], "RSA key of 1024 bits", id="short RSA"),
        pytest.param([ssh("ecdsa-sha2-nistp256", b"x", b"y")], "type that age cannot", id="ecdsa"),
        pytest.param(["# mine"], "is not a public key", id="comment"),
    ],
)
def test_what_is_no_key_is_refused(value: object, said: str) -> None:
    with pytest.raises(BackupError) as refused:
        check_recipients(value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(SECRET, id="age"),
        pytest.param(SECRET.lower(), id="small letters"),
        pytest.param(f"# created\n{SECRET}", id="the whole file"),
        pytest.param("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk", id="ssh"),
    ],
)
def test_a_private_key_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(BackupError) as refused:
        check_recipients([value])
    assert "PRIVATE key" in str(refused.value)
    assert "QQPQZ" not in str(refused.value).upper()
    assert "b3Blb" not in str(refused.value)


def test_what_might_be_secret_is_not_shown() -> None:
    with pytest.raises(BackupError) as refused:
        check_recipients(["s3ntinel"])
    assert "s3ntinel" not in str(refused.value)


def openssh(cipher: bytes) -> str:
    body = b"openssh-key-v1\0" + struct.pack(">I", len(cipher)) + cipher + b"rest"
    return (
        f"-----BEGIN OPENSSH PRIVATE KEY-----\n{base64.b64encode(body).decode()}\n-----END OPENSSH PRIVATE KEY-----\n"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(f"# created: 2026\n# public key: {AGE}\n{SECRET}\n", "", id="age"),
        pytest.param(openssh(b"none"), "", id="ssh"),
        pytest.param("-----BEGIN RSA PRIVATE KEY-----\nMIIE", "", id="old ssh"),
        pytest.param(openssh(b"aes256-ctr"), "passphrase", id="ssh with passphrase"),
        pytest.param(
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", "passphrase", id="old with passphrase"
        ),
        pytest.param("age-encryption.org/v1\n-> scrypt", "passphrase", id="age with passphrase"),
        pytest.param("-----BEGIN AGE ENCRYPTED FILE-----\n", "passphrase", id="armored"),
        pytest.param(f"{AGE}\n", "holds a public key", id="public age key"),
        pytest.param(f"{ED25519}\n", "holds a public key", id="public ssh key"),
        pytest.param("", "holds no private key", id="empty"),
        pytest.param("hello", "holds no private key", id="something"),
    ],
)
def test_an_identity_is_known_by_its_content(content: str, problem: str) -> None:
    found = describe_identity(content.encode())
    assert problem in found
    assert bool(found) == bool(problem)


# Lengths that age 1.1.1 wrote: a header of 200 bytes, a nonce, and a tag for each chunk of 64 KiB.
@pytest.mark.parametrize(
    ("plain", "more"),
    [(0, 32), (1, 33), (65536, 65568), (65537, 65585), (10_000_000, 10_000_000 + 16 + 153 * 16)],
)
def test_the_length_of_a_sealed_file_is_known(plain: int, more: int) -> None:
    head = b"age-encryption.org/v1\n-> X25519 abc\nbody\n--- " + b"M" * 43 + b"\n"
    assert sealed_size(head + b"payload", plain) == len(head) + more
    assert sealed_size(head[:-1], plain) == 0
