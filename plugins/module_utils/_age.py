# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Sealing backups with age: to public keys only, and closed or not at all.

The host holds no private key: what it has sealed it can't read. A restore brings its identity file along.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ._age_keys import check_recipients, describe_identity, sealed_size
from ._files import flush_directory
from ._pg_repository import SEALED, BackupError

__all__ = ["check_identity", "check_ready", "check_recipients", "explain", "seal", "unseal"]

_HEADER = b"age-encryption.org/v1\n"
#: A header holds some 200 bytes for each recipient (700 for a long RSA key).
_HEADER_LIMIT = 1 << 20
_MEANINGS = (
    (
        ("no identity matched", "incorrect identity"),
        "This identity is not one of the keys that the backup is encrypted to; use the matching identity file.",
    ),
    (
        ("passphrase",),
        "This identity is behind a passphrase, which is not supported; use one without (age-keygen).",
    ),
    (
        ("malformed secret key", "malformed ssh identity", "unknown identity", "error at line"),
        "The identity file holds a key that age cannot use; name an age identity, or an ed25519 or RSA private key.",
    ),
    (("no space left",), "There is no space left on the device."),
    (
        ("failed to decrypt and authenticate", "header", "unexpected intro", "unexpected eof", "hmac", "last chunk"),
        "The encrypted file is damaged; fetch its offsite copy or choose another backup.",
    ),
)


def check_ready(recipients: Sequence[str]) -> None:
    """Seal one byte, so that a missing program or a refused key ends a run before anything is dumped."""
    if not recipients:
        raise BackupError("There is no recipient to encrypt to; list at least one public key.")
    sealed = _age(["--encrypt", *_recipient_arguments(recipients)], stdin=b"\n").stdout
    if not sealed.startswith(_HEADER):
        raise BackupError("age answered a test with something that is not an age file; check the package age.")


def seal(path: Path, recipients: Sequence[str]) -> Path:
    """Encrypt a file beside itself and remove the plain one; on any failure there is no sealed file."""
    if not recipients:
        raise BackupError(f"There is no recipient to encrypt {path.name} to; list at least one public key.")
    sealed = path.with_name(path.name + SEALED)
    try:
        descriptor = os.open(sealed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise BackupError(f"{sealed} cannot be written: {error.strerror}.") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _age(["--encrypt", *_recipient_arguments(recipients), "--", str(path)], stdout=stream.fileno())
            os.fsync(stream.fileno())
        _check_sealed(sealed, path.stat().st_size)
        flush_directory(path.parent)
        path.unlink()
    except OSError as error:
        sealed.unlink(missing_ok=True)
        raise BackupError(f"{path.name} could not be encrypted: {error.strerror}.") from None
    except BackupError as error:
        sealed.unlink(missing_ok=True)
        raise BackupError(f"{path.name} could not be encrypted: {error}") from None
    except BaseException:
        sealed.unlink(missing_ok=True)
        raise
    return sealed


def unseal(path: Path, identity: Path, into: Path) -> Path:
    """Decrypt path with an identity file into the folder into; returns the plain file, readable by its owner only."""
    check_identity(identity)
    plain = into / path.name.removesuffix(SEALED)
    try:
        with path.open("rb") as stream:
            head = stream.read(len(_HEADER))
        if head != _HEADER or path.suffix != SEALED:
            raise BackupError(f"{path} is not an age file, or its head is damaged; fetch or choose another backup.")
        descriptor = os.open(plain, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise BackupError(f"{path} could not be decrypted: {error.strerror}.") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _age(["--decrypt", "--identity", str(identity), "--", str(path)], stdout=stream.fileno())
            os.fsync(stream.fileno())
    except BaseException as error:
        # age writes what it has read so far: a damaged file leaves a part of the dump.
        plain.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise BackupError(f"{path} could not be decrypted: {error.strerror}.") from None
        raise
    return plain


def check_identity(identity: Path) -> None:
    """Refuse an identity file that is missing, open to others, a public key, or behind a passphrase."""
    try:
        found = identity.stat()
        if not stat.S_ISREG(found.st_mode):
            raise BackupError(f"The identity {identity} is not a file; name the file that age-keygen wrote.")
        if found.st_mode & 0o077:
            raise BackupError(
                f"The identity {identity} has mode {stat.S_IMODE(found.st_mode):04o}, so others may read it; "
                f"chmod 600 {identity}."
            )
        problem = describe_identity(identity.read_bytes()[:_HEADER_LIMIT])
    except OSError as error:
        raise BackupError(
            f"The identity file {identity} cannot be read: {error.strerror}; name the file with the private key."
        ) from None
    if problem:
        raise BackupError(f"The identity {identity} {problem}")


def _recipient_arguments(recipients: Sequence[str]) -> list[str]:
    # Checked once more: nothing but a public key may get into an argv.
    return [argument for key in check_recipients(tuple(recipients)) for argument in ("--recipient", key)]


def _check_sealed(sealed: Path, plain_bytes: int) -> None:
    """age's format gives away how long a whole file is: one that was cut never replaces the plain one."""
    with sealed.open("rb") as stream:
        head = stream.read(_HEADER_LIMIT)
    expected = sealed_size(head, plain_bytes)
    if not head.startswith(_HEADER) or not expected:
        raise BackupError("age wrote something that is not an age file.")
    if sealed.stat().st_size != expected:
        raise BackupError(f"age wrote {sealed.stat().st_size} bytes where a whole file has {expected}.")


def _age(
    arguments: Sequence[str], stdin: bytes | None = None, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("age")
    if program is None:
        raise BackupError("The program age is not installed; install the package age.")
    setpriv = shutil.which("setpriv")
    prefix = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    # In a session of its own it has no terminal, so that it never waits for a passphrase.
    done = subprocess.run(
        [*prefix, program, *arguments],
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        stdout=stdout,
        stderr=subprocess.PIPE,
        start_new_session=True,
        check=False,
    )
    if done.returncode:
        raise BackupError(explain(done.stderr.decode("utf-8", "replace"), done.returncode))
    return done


def explain(stderr: str, status: int) -> str:
    """What age's last words mean, with the fix."""
    if status < 0:
        return f"age was ended by signal {-status}."
    for words, meaning in _MEANINGS:
        if any(word in stderr.lower() for word in words):
            return meaning
    lines = [line.removeprefix("age: ").removeprefix("error: ") for line in stderr.splitlines() if line.strip()]
    told = next((line for line in lines if not line.startswith("report unexpected")), f"exit status {status}")
    return f"age says: {told[:200].rstrip('.')}."
