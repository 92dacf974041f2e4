# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils._age import (
    check_identity,
    check_ready,
    explain,
    seal,
    unseal,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError

RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
SECRET = "AGE-SECRET-KEY-1QQPQZRFR7ZZ2WCVEHHUEXQQVNS2G0S9P8WZ0RKWSDDQKQ0GGZ6UQ8DWUEY"

# A stand-in for age with its format but no cipher; its faults are chosen by files beside it.
AGE = """#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/calls"
header() { printf 'age-encryption.org/v1\\n-> X25519 x\\n--- %043d\\n0123456789abcdef' 0; }
for last; do :; done
if [ "$1" = --encrypt ]; then
  if [ -f "$last" ]; then plain=$last; else plain=$here/stdin; cat > "$plain"; fi
  [ -e "$here/headless" ] || header
  [ -e "$here/short" ] && exit 0
  cat "$plain"; printf 0123456789abcdef
else
  tail -c +99 "$last" | head -c -16
fi
[ -e "$here/fail" ] && { cat "$here/fail" >&2; exit 1; }
exit 0
"""


@pytest.fixture
def age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "age").write_text(AGE)
    (folder / "age").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    (tmp_path / "dump.pgc").write_bytes(b"plain")
    return tmp_path / "dump.pgc"


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    path = tmp_path / "identity"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return path


def test_what_was_sealed_is_unsealed(age: Path, plain: Path, identity: Path, tmp_path: Path) -> None:
    check_ready([RECIPIENT])
    sealed = seal(plain, [RECIPIENT])
    assert sealed == tmp_path / "dump.pgc.age"
    assert sealed.stat().st_mode & 0o777 == 0o600
    assert not plain.exists()
    into = tmp_path / "into"
    into.mkdir()
    back = unseal(sealed, identity, into)
    assert back == into / "dump.pgc"
    assert back.read_bytes() == b"plain"
    assert back.stat().st_mode & 0o777 == 0o600
    assert SECRET not in (age / "calls").read_text()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        pytest.param("fail", "age says: boom", id="age fails"),
        pytest.param("headless", "not an age file", id="no header"),
        pytest.param("short", "bytes where a whole file has", id="cut"),
    ],
)
def test_a_failure_leaves_no_sealed_file(age: Path, plain: Path, fault: str, said: str) -> None:
    (age / fault).write_text("age: error: boom\n")
    with pytest.raises(BackupError, match=said):
        seal(plain, [RECIPIENT])
    assert plain.exists()
    assert not plain.with_name("dump.pgc.age").exists()


def test_a_sealed_file_that_is_there_stays(age: Path, plain: Path) -> None:
    sealed = plain.with_name("dump.pgc.age")
    sealed.write_text("earlier")
    with pytest.raises(BackupError, match="File exists"):
        seal(plain, [RECIPIENT])
    assert sealed.read_text() == "earlier"


@pytest.mark.parametrize("recipients", [[], [SECRET]], ids=["nobody", "a private key"])
def test_nothing_but_a_public_key_reaches_age(age: Path, plain: Path, recipients: list[str]) -> None:
    for call in (lambda: check_ready(recipients), lambda: seal(plain, recipients)):
        with pytest.raises(BackupError):
            call()
    assert plain.exists()
    assert not (age / "calls").exists()


def test_without_age_the_package_is_named(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BackupError, match="install the package age"):
        check_ready([RECIPIENT])
    with pytest.raises(BackupError, match="install the package age"):
        seal(plain, [RECIPIENT])
    assert plain.exists()


def test_a_part_of_a_damaged_file_is_not_kept(age: Path, plain: Path, identity: Path) -> None:
    sealed = seal(plain, [RECIPIENT])
    (age / "fail").write_text("age: error: failed to decrypt and authenticate payload chunk\n")
    with pytest.raises(BackupError, match="is damaged"):
        unseal(sealed, identity, plain.parent)
    assert not plain.exists()


def test_what_is_no_age_file_is_told_apart(age: Path, plain: Path, identity: Path) -> None:
    with pytest.raises(BackupError, match="not an age file"):
        unseal(plain, identity, plain.parent)
    assert plain.read_bytes() == b"plain"


@pytest.mark.parametrize(
    ("mode", "content", "said"),
    [
        pytest.param(0o644, SECRET, "chmod 600", id="others may read it"),
        pytest.param(0o600, RECIPIENT, "holds a public key", id="public"),
        pytest.param(0o600, "-----BEGIN AGE ENCRYPTED FILE-----", "passphrase", id="passphrase"),
    ],
)
def test_an_identity_that_cannot_be_used_is_refused(identity: Path, mode: int, content: str, said: str) -> None:
    identity.write_text(content)
    identity.chmod(mode)
    with pytest.raises(BackupError, match=said) as refused:
        check_identity(identity)
    assert "QQPQZ" not in str(refused.value)


def test_a_missing_identity_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="cannot be read"):
        check_identity(tmp_path / "none")
    with pytest.raises(BackupError, match="is not a file"):
        check_identity(tmp_path)


@pytest.mark.parametrize(
    ("stderr", "status", "said"),
    [
        ("age: error: no identity matched any of the recipients", 1, "not one of the keys"),
        ("age: error: failed to read header: parsing age header: unexpected intro", 1, "is damaged"),
        ("age: error: bad header MAC", 1, "is damaged"),
        ("age: error: write: no space left on device", 1, "no space left"),
        (f"age: error: error at line 1: malformed secret key: {SECRET}", 1, "cannot use"),
        ("", -9, "signal 9"),
        ("", 2, "exit status 2"),
        (
            "age: error: strange\nage: report unexpected or unhelpful errors at https://filippo.io/age/report",
            1,
            "strange.",
        ),
    ],
)
def test_what_age_says_is_explained(stderr: str, status: int, said: str) -> None:
    assert said in explain(stderr, status)
    assert SECRET not in explain(stderr, status)
