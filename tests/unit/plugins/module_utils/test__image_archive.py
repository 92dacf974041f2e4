# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Archives of images: what is told of them without loading one."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _image_archive
from ansible_collections.quayside.web.plugins.module_utils._image_archive import ArchivedImage

A, B, DIGEST = "a" * 64, "b" * 64, f"sha256:{'d' * 64}"


def archive(path: Path, **members: Any) -> str:
    """A tar archive; members are JSON unless they are bytes."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            info = tarfile.TarInfo(f"{name}.json")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return str(path)


def image(config: str, *tags: str) -> dict[str, Any]:
    return {"Config": config, "RepoTags": list(tags), "Layers": []}


@pytest.mark.parametrize(
    ("manifest", "index", "expected"),
    [
        pytest.param(
            [image(f"{A}.json", "app:1")], None, [ArchivedImage(("app:1",), (f"sha256:{A}",))], id="Docker before 25"
        ),
        pytest.param(
            [image(f"blobs/sha256/{A}", "app:1", "app:latest")],
            {"manifests": [{"digest": DIGEST}]},
            [ArchivedImage(("app:1", "app:latest"), (f"sha256:{A}", DIGEST))],
            id="OCI layout",
        ),
        pytest.param(
            [image(f"blobs/sha256/{A}", "app:1"), image(f"blobs/sha256/{B}", "app:2")],
            {"manifests": [{"digest": DIGEST}, {"digest": DIGEST}]},
            [ArchivedImage(("app:1",), (f"sha256:{A}",)), ArchivedImage(("app:2",), (f"sha256:{B}",))],
            id="several images own no digest",
        ),
        pytest.param(
            [{"Config": f"{A}.json", "RepoTags": None}], {}, [ArchivedImage((), (f"sha256:{A}",))], id="saved by id"
        ),
        pytest.param([], None, [], id="empty"),
    ],
)
def test_images(manifest: Any, index: Any, expected: list[ArchivedImage]) -> None:
    assert _image_archive.images(manifest, index) == expected


def app(path: str, **changes: Any) -> dict[str, Any]:
    return {"name": "shop", "source": "archive", "archive": path, "image": "app:1", **changes}


def test_an_archive_that_holds_the_image_is_good(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", manifest=[image(f"{A}.json", "app:1"), image(f"{B}.json", "app:2")])
    assert _image_archive.problem(app(path)) == ""
    assert _image_archive.ids(app(path)) == [f"sha256:{A}"]
    assert _image_archive.ids(app(path, image="app:2")) == [f"sha256:{B}"]


def test_an_app_without_an_archive_has_no_problem() -> None:
    assert _image_archive.problem(app("/nowhere", source="pull")) == ""


@pytest.mark.parametrize(
    ("members", "found"),
    [
        pytest.param({"manifest": [image(f"{A}.json", "app:2")]}, "which holds app:2;", id="another tag"),
        pytest.param({"manifest": [image(f"{A}.json")]}, "which holds no named image;", id="no tag"),
        pytest.param({"other": {}}, "not an archive that docker save wrote", id="another tar archive"),
        pytest.param({"manifest": [{"Layers": []}]}, "not an archive that docker save wrote", id="no image in it"),
        pytest.param({"manifest": {"a": 1}}, "not an archive that docker save wrote", id="another structure"),
        pytest.param({"manifest": b"no JSON"}, "not an archive that docker save wrote", id="no JSON"),
    ],
)
def test_other_archives_are_refused_by_name(tmp_path: Path, members: dict[str, Any], found: str) -> None:
    path = archive(tmp_path / "a.tar", **members)
    told = _image_archive.problem(app(path))
    assert told.startswith(f'app "shop": archive is "{path}", ')
    assert found in told
    assert "; accepted: " in told


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(None, "which cannot be read (No such file or directory)", id="missing"),
        pytest.param(b"", "not an archive that docker save wrote", id="empty"),
        pytest.param(b"text", "not an archive that docker save wrote", id="text"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes | None, found: str) -> None:
    path = tmp_path / "a.tar"
    if content is not None:
        path.write_bytes(content)
    assert found in _image_archive.problem(app(str(path)))


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "(Is a directory)" in _image_archive.problem(app(str(tmp_path)))


def test_a_compressed_archive_is_read(tmp_path: Path) -> None:
    plain = Path(archive(tmp_path / "a.tar", manifest=[image(f"{A}.json", "app:1")]))
    packed = tmp_path / "a.tar.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert _image_archive.problem(app(str(packed))) == ""
