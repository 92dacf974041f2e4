# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _offsite_copy
from ansible_collections.quayside.web.plugins.module_utils._offsite import Target, parse_target
from ansible_collections.quayside.web.plugins.module_utils._offsite_copy import (
    check,
    copy,
    fetch,
    listing,
    names,
    plan_rotation,
    rotate,
    verify,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import (
    DUMP,
    GLOBALS,
    MANIFEST,
    BackupError,
    DumpFile,
    Manifest,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_rotation import Keep
from ansible_collections.quayside.web.plugins.module_utils._pg_store import load

# A stand-in for rclone that knows local folders and the calls that are made. It notes them and its environment; its
# faults are chosen by files beside it: fail-WORD fails where a call has the word, flip bends what is sent, cut ends it.
RCLONE = """#!PYTHON -IS
import hashlib, json, os, shutil, signal, sys
from pathlib import Path
here = Path(__file__).parent
call = sys.argv[1:]
with open(here / "calls", "a") as calls:
    calls.write(json.dumps({"call": call, "env": dict(os.environ)}) + "\\n")
for fault in here.glob("fail-*"):
    if any(fault.name[5:] in word for word in call):
        sys.exit(fault.read_text() or "odd")
plain = [word for word in call[1:] if not word.startswith("-") and word not in ("sha256", "cleanup", "max-age=0s")]
paths = [Path(word.removeprefix("offsite:")) for word in plain]
def absent():
    print("ERROR : : error listing: directory not found", file=sys.stderr)
    sys.exit(3)
def send(source, to):
    to.parent.mkdir(parents=True, exist_ok=True)
    content = source.read_bytes()
    if (here / "cut").exists():
        to.write_bytes(content[:-1])
        os.kill(os.getpid(), signal.SIGKILL)
    if (here / "flip").exists() and str(to).endswith("dump.pgc"):
        content = bytes([content[0] ^ 1]) + content[1:]
    to.write_bytes(content)
command = call[0]
if command == "lsjson":
    if not paths[0].is_dir():
        absent()
    found = [path for path in sorted(paths[0].rglob("*")) if path.is_file()]
    print(json.dumps([{"Path": str(path.relative_to(paths[0])), "Size": path.stat().st_size} for path in found]))
elif command == "lsf":
    print("\\n".join(path.name + "/" for path in paths[0].iterdir() if path.is_dir()))
elif command == "copyto":
    if not paths[0].exists():
        absent()
    send(*paths)
elif command == "copy":
    for path in paths[0].glob("*/manifest.json"):
        send(path, paths[1] / path.parent.name / path.name)
elif command == "hashsum":
    for path in sorted(paths[0].iterdir()):
        print(hashlib.sha256(path.read_bytes()).hexdigest() + "  " + path.name)
elif command == "rcat":
    paths[0].parent.mkdir(parents=True, exist_ok=True)
    paths[0].write_bytes(sys.stdin.buffer.read())
elif command == "cat":
    if not paths[0].exists():
        absent()
    sys.stdout.write(paths[0].read_text())
elif command == "deletefile":
    if not paths[0].exists():
        sys.exit(f"Failed to deletefile: {plain[0]} is a directory or doesn't exist")
    paths[0].unlink()
elif command == "purge":
    if not paths[0].is_dir():
        absent()
    shutil.rmtree(paths[0])
elif command == "obscure":
    print("0bscured" if sys.stdin.read() == "s3ntinel" else "?")
elif command != "backend":
    sys.exit(f"unknown call {call}")
"""


@dataclass(frozen=True)
class Bed:
    """A repository, a target and the stand-in."""

    root: str
    target: Target
    place: Path
    programs: Path

    def make(self, day: int, content: bytes = b"dump", cluster: str = "7") -> Manifest:
        backup_id = f"202611{day:02}T030000Z"
        folder = Path(self.root) / "app" / backup_id
        folder.mkdir(parents=True, exist_ok=True)
        contents = {DUMP: content * day, GLOBALS: b"roles"}
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        manifest = Manifest(
            id=backup_id,
            name="app",
            created_at=f"2026-11-{day:02}T03:00:00Z",
            database="d",
            host="h",
            port=1,
            server_version="15",
            client_version=15,
            compression="none",
            system_identifier=cluster,
            files=tuple(DumpFile(n, len(data), hashlib.sha256(data).hexdigest()) for n, data in contents.items()),
            verified_at="2026-11-30T03:00:00Z",
        )
        (folder / MANIFEST).write_text(manifest.to_json())
        return manifest

    def there(self, day: int, name: str = "") -> Path:
        return self.place / "app" / f"202611{day:02}T030000Z" / name

    def calls(self, command: str) -> list[list[str]]:
        lines = (self.programs / "calls").read_text().splitlines()
        return [call for call in (json.loads(line)["call"] for line in lines) if call[0] == command]

    def sound(self) -> list[str]:
        return [str(int(found.id[6:8])) for found in listing(self.target, "app") if found.verified]

    @contextmanager
    def fault(self, name: str, text: str = "") -> Iterator[None]:
        (self.programs / name).write_text(text)
        yield
        (self.programs / name).unlink()


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bed:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "rclone").write_text(RCLONE.replace("PYTHON", sys.executable))
    (programs / "rclone").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    place = tmp_path / "nas"
    place.mkdir()
    target = parse_target({"name": "nas", "type": "local", "path": str(place), "minimum": 1}, Keep(2, 0, 0, 0))
    return Bed(str(tmp_path / "root"), target, place, programs)


def test_a_copy_is_sent_read_back_and_listed(bed: Bed) -> None:
    manifest, log = bed.make(1), list[str]()
    made = copy(bed.target, bed.root, manifest, log.append)
    assert made.problem == ""
    assert made.path == str(bed.there(1)).rstrip("/")
    assert log[-1].endswith("read back and equal")
    assert bed.calls("rcat")[-1][-1].endswith(MANIFEST)
    assert len(bed.calls("hashsum")) == 1
    assert [found.manifest for found in listing(bed.target, "app")] == [manifest]
    assert names(bed.target) == ["app"]


def test_an_equal_copy_is_not_sent_again(bed: Bed) -> None:
    manifest = bed.make(1)
    copy(bed.target, bed.root, manifest)
    sent = len(bed.calls("copyto"))
    assert copy(bed.target, bed.root, replace(manifest, copies=())).problem == ""
    assert len(bed.calls("copyto")) == sent


def test_what_was_found_later_reaches_the_copy(bed: Bed) -> None:
    manifest = bed.make(1)
    copy(bed.target, bed.root, manifest)
    copy(bed.target, bed.root, replace(manifest, notes=("looked at",)))
    (found,) = listing(bed.target, "app")
    assert found.manifest is not None
    assert found.manifest.notes == ("looked at",)
    assert len(bed.calls("copyto")) == 2


def test_without_reading_back_sizes_are_compared_and_that_is_said(bed: Bed) -> None:
    log: list[str] = []
    target = replace(bed.target, read_back=False)
    with bed.fault("flip"):
        assert copy(target, bed.root, bed.make(1), log.append).problem == ""
    assert "read_back is off" in log[-1]
    assert "sha256 of dump.pgc differs" in verify(bed.target, "app", bed.make(1).id).problem


def test_a_copy_that_differs_is_a_problem_and_replaced(bed: Bed) -> None:
    manifest = bed.make(1)
    copy(bed.target, bed.root, manifest)
    bed.there(1, DUMP).write_bytes(b"dumq")
    assert bed.sound() == ["1"]
    assert "sha256 of dump.pgc differs" in verify(bed.target, "app", manifest.id).problem
    assert copy(bed.target, bed.root, manifest).problem == ""
    assert bed.there(1, DUMP).read_bytes() == b"dump"
    assert verify(bed.target, "app", manifest.id).verified


@pytest.mark.parametrize(
    ("fault", "text", "said"),
    [
        pytest.param("flip", "", "sha256 of dump.pgc differs", id="bent on its way"),
        pytest.param("cut", "", "ended by signal 9", id="killed"),
        pytest.param("fail-globals.sql", "no space left on device", "no space left there", id="full"),
        pytest.param("fail-rcat", "connection refused", "refused the connection", id="gone before the manifest"),
        pytest.param("fail-hashsum", "i/o timeout", "did not answer", id="gone before it was read back"),
    ],
)
def test_a_failed_upload_leaves_nothing_that_looks_whole(bed: Bed, fault: str, text: str, said: str) -> None:
    copy(bed.target, bed.root, bed.make(1))
    with bed.fault(fault, text):
        made = copy(bed.target, bed.root, bed.make(2))
    assert said in made.problem
    assert made.problem.startswith("Offsite target nas")
    assert bed.sound() == ["1"]
    assert not bed.there(2, MANIFEST).exists()
    assert [backup.verified for backup in load(bed.root, "app")] == [True, True]
    assert copy(bed.target, bed.root, bed.make(2)).problem == ""
    assert bed.sound() == ["1", "2"]


@pytest.mark.parametrize(
    "change",
    [{"quarantine": "it is empty"}, {"damage": "bent"}, {"verified_at": ""}],
    ids=["quarantine", "damaged", "not verified"],
)
def test_what_is_not_trusted_is_not_copied(bed: Bed, change: dict[str, str]) -> None:
    assert "is not copied" in copy(bed.target, bed.root, replace(bed.make(1), **change)).problem
    assert not (bed.programs / "calls").exists()


def test_a_sound_copy_is_not_touched_when_the_local_files_are_gone(bed: Bed) -> None:
    manifest = bed.make(1)
    copy(bed.target, bed.root, manifest)
    (Path(bed.root) / "app" / manifest.id / DUMP).unlink()
    assert "cannot be copied: No such file" in copy(bed.target, bed.root, manifest).problem
    assert bed.sound() == ["1"]


def test_another_servers_copy_is_not_replaced(bed: Bed) -> None:
    copy(bed.target, bed.root, bed.make(1))
    before = bed.there(1, MANIFEST).read_text()
    assert "another server's backup" in copy(bed.target, bed.root, bed.make(1, b"DUMP", cluster="8")).problem
    assert bed.there(1, MANIFEST).read_text() == before


def test_two_copies_at_once_wait_for_each_other(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_offsite_copy, "WAIT", 0.3)
    manifest = bed.make(1)
    with (Path(bed.root) / "app" / ".offsite-nas.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another run copies there" in copy(bed.target, bed.root, manifest).problem
    assert copy(bed.target, bed.root, manifest).problem == ""


def test_a_folder_that_is_not_mounted_is_no_second_place(bed: Bed) -> None:
    manifest = bed.make(1)
    assert "nothing is mounted" in copy(replace(bed.target, mounted=True), bed.root, manifest).problem
    bed.place.rmdir()
    assert "mount or create it" in copy(bed.target, bed.root, manifest).problem


def test_rotation_removes_each_manifest_first(bed: Bed) -> None:
    for day in (1, 2, 3, 4):
        copy(bed.target, bed.root, bed.make(day))
    assert len(plan_rotation(bed.target, "app").removed) == 2
    with bed.fault("fail-purge", "connection refused"), pytest.raises(BackupError, match="refused"):
        rotate(bed.target, "app")
    assert bed.sound() == ["1", "3", "4"]
    assert bed.there(2, DUMP).exists()
    assert len(rotate(bed.target, "app").removed) == 1
    assert bed.sound() == ["3", "4"]
    # What a killed rotation left goes once it is days older than the newest.
    copy(bed.target, bed.root, bed.make(9))
    rotate(bed.target, "app")
    assert sorted(path.name[6:8] for path in (bed.place / "app").iterdir()) == ["04", "09"]


def test_a_copy_is_fetched_and_a_sound_one_stays(bed: Bed, tmp_path: Path) -> None:
    manifest = bed.make(1)
    copy(bed.target, bed.root, manifest)
    new = str(tmp_path / "new")
    fetched = fetch(bed.target, new, "app", manifest.id)
    assert fetched.verified
    assert (Path(new) / "app" / manifest.id / DUMP).read_bytes() == b"dump"
    assert fetched.manifest is not None
    assert [made.target for made in fetched.manifest.copies] == ["nas"]
    sent = len(bed.calls("copyto"))
    assert fetch(bed.target, new, "app", manifest.id).verified
    assert len(bed.calls("copyto")) == sent


def test_a_damaged_backup_is_replaced_by_what_is_fetched(bed: Bed) -> None:
    manifest = bed.make(1)
    copy(bed.target, bed.root, manifest)
    local = Path(bed.root) / "app" / manifest.id / DUMP
    local.write_bytes(b"du")
    assert fetch(bed.target, bed.root, "app", manifest.id).verified
    assert local.read_bytes() == b"dump"


@pytest.mark.parametrize(
    ("day", "said"),
    [(1, "dump.pgc of 20261101T030000Z is damaged there"), (2, "globals.sql is missing"), (7, "it is not there")],
    ids=["bent", "a file gone", "not there"],
)
def test_what_is_not_equal_is_not_fetched(bed: Bed, tmp_path: Path, day: int, said: str) -> None:
    for number in (1, 2, 3):
        copy(bed.target, bed.root, bed.make(number))
    bed.there(1, DUMP).write_bytes(b"dumq")
    bed.there(2, GLOBALS).unlink()
    with pytest.raises(BackupError, match=said):
        fetch(bed.target, str(tmp_path / "new"), "app", f"202611{day:02}T030000Z")
    assert load(str(tmp_path / "new"), "app") == []
    assert [path.name for path in (tmp_path / "new/app").iterdir()] == [".lock"]


def test_no_id_leads_out_of_the_repository(bed: Bed) -> None:
    copy(bed.target, bed.root, bed.make(1))
    with pytest.raises(BackupError, match="that is no id; there are: 20261101T030000Z"):
        fetch(bed.target, bed.root, "app", "../../etc")


def test_too_little_space_is_noticed_before_fetching(bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = bed.make(1)
    copy(bed.target, bed.root, manifest)
    sent = len(bed.calls("copyto"))
    full = os.statvfs_result((4096, 4096, 9, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: full)
    with pytest.raises(BackupError, match=r"has 9 bytes, and .* has 0 free"):
        fetch(bed.target, str(tmp_path / "new"), "app", manifest.id)
    assert len(bed.calls("copyto")) == sent


def test_a_target_is_checked_by_writing(bed: Bed) -> None:
    check(bed.target)
    assert list(bed.place.iterdir()) == []
    with bed.fault("fail-rcat", "permission denied"), pytest.raises(BackupError, match="may not be written"):
        check(bed.target)


def test_without_rclone_the_package_is_named(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "install the package rclone" in copy(bed.target, bed.root, bed.make(1)).problem


def test_no_secret_is_in_an_argument(bed: Bed) -> None:
    manifest = bed.make(1)
    sftp = parse_target(
        {"name": "nas", "type": "sftp", "host": "h", "user": "u", "password": "s3ntinel"}
        | {"known_hosts": "h ssh-ed25519 AAAA", "path": str(bed.place)}
    )
    s3 = parse_target(
        {"name": "s3", "type": "s3", "endpoint": "http://h", "bucket": "b" * 9, "access_key": "s3ntinel-a"}
        | {"secret_key": "s3ntinel-b"}
    )
    assert copy(sftp, bed.root, manifest).problem == ""
    (bed.place / "s3/app" / manifest.id).mkdir(parents=True)
    assert copy(replace(s3, base=str(bed.place / "s3")), bed.root, manifest).problem == ""
    calls = [json.loads(line) for line in (bed.programs / "calls").read_text().splitlines()]
    assert not [call for call in calls if "s3ntinel" in str(call["call"])]
    assert calls[1]["env"]["RCLONE_CONFIG_OFFSITE_PASS"] == "0bscured"
    assert calls[1]["env"]["RCLONE_CONFIG_OFFSITE_KNOWN_HOSTS_FILE"].startswith("/proc/self/fd/")
    assert [call for call in calls if call["call"][0] == "backend"]
