# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Files and folders get the mode that they need, whatever the umask of sudo is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils._files import make_folder, write_atomically


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("wanted", [0o600, 0o640, 0o644, 0o755])
def test_a_file_has_exactly_its_mode(tmp_path: Path, wanted: int) -> None:
    write_atomically(tmp_path / "file", "text", wanted)
    assert mode(tmp_path / "file") == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("wanted", [0o700, 0o711, 0o755])
def test_a_new_folder_has_exactly_its_mode_and_its_parents_let_others_through(tmp_path: Path, wanted: int) -> None:
    folder = tmp_path / "a/b/c"
    assert make_folder(folder, wanted)
    assert [mode(path) for path in (folder, *folder.parents[:2])] == [wanted, 0o755, 0o755]
    assert not make_folder(folder, wanted)


def test_a_later_run_repairs_a_folder_of_ours_and_leaves_another(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    for folder in (ours, other):
        folder.mkdir(mode=0o700)
    assert make_folder(ours)
    assert not make_folder(other, repair=False)
    assert (mode(ours), mode(other)) == (0o755, 0o700)


def test_a_check_only_reports(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert make_folder(closed, check=True)
    assert make_folder(tmp_path / "new/folder", check=True)
    assert mode(closed) == 0o700
    assert [path.name for path in tmp_path.iterdir()] == ["closed"]
