# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Docker's own packages, from a repository of the same layout with a key of its own.

Docker's repository is not reached from the test machines: the packages here have its names and versions with its epoch,
and Debian's engine in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

HOSTS = ("debian12", "debian13")
FOLDER = "/srv/docker-repository"
REPOSITORY = """
set -e
rm -rf FOLDER
mkdir -p FOLDER/pool FOLDER/key
chmod 700 FOLDER/key
cd FOLDER/pool
apt-get install -qy --no-install-recommends gpg gpg-agent >/dev/null
version=$(apt-cache show --no-all-versions docker.io | sed -n 's/^Version: \\([^+]*\\).*/\\1/p')
build() {
    sed -i "/^\\(Breaks\\|Conflicts\\|Provides\\|Replaces\\|Recommends\\|Suggests\\|Multi-Arch\\): /d
        s/^Package: .*/Package: $1/; s/^Version: .*/Version: 5:$version-1/
        /^Depends: /{s/containerd[^,]*/containerd.io/; s/docker-cli[^,]*/docker-ce-cli/}" $1/DEBIAN/control
    dpkg-deb -Znone -b $1 $1.deb >/dev/null
    rm -r $1
}
for names in docker.io/docker-ce docker-cli/docker-ce-cli containerd/containerd.io \\
    docker-buildx/docker-buildx-plugin; do
    if apt-get download -q ${names%/*} >/dev/null 2>&1; then
        dpkg-deb -R ${names%/*}_*.deb ${names#*/}
        rm ${names%/*}_*.deb
    else
        # Debian 12 has the client in docker.io, and no buildx.
        mkdir -p ${names#*/}/DEBIAN
        printf 'Package: x\\nVersion: 1\\nArchitecture: all\\nMaintainer: quayside\\nDescription: empty\\n' \\
            > ${names#*/}/DEBIAN/control
    fi
    build ${names#*/}
done
cd FOLDER
suite=$(. /etc/os-release; echo $VERSION_CODENAME)
index=stable/binary-$(dpkg --print-architecture)/Packages
mkdir -p dists/$suite/$(dirname $index)
for file in pool/*.deb; do
    dpkg-deb -f $file
    printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' $file $(stat -c %s $file) $(sha256sum $file | cut -d' ' -f1)
done > dists/$suite/$index
cd dists/$suite
printf 'Suite: %s\nCodename: %s\nComponents: stable\nArchitectures: %s\nDate: %s\nSHA256:\n %s %s %s\n' \\
    $suite $suite "$(dpkg --print-architecture)" "$(date -Ru)" $(sha256sum $index | cut -d' ' -f1) \\
    $(stat -c %s $index) $index > Release
export GNUPGHOME=FOLDER/key
gpg --batch --quiet --passphrase '' --quick-generate-key repository@example.com rsa3072
gpg --batch --quiet --clearsign --output InRelease Release
gpg --armor --export
"""
REMOVE = """
set -e
installed=$(dpkg-query -f '${db:Status-Abbrev}${Package}\\n' -W 'docker*' 'containerd*' 2>/dev/null)
names=$(echo "$installed" | sed -n 's/^ii //p')
DEBIAN_FRONTEND=noninteractive apt-get purge -qy $names >/dev/null
rm -f /etc/apt/sources.list.d/docker.sources /etc/apt/preferences.d/quayside-docker
apt-get update -q >/dev/null
"""


@pytest.fixture(scope="module")
def keys(
    container: Callable[[str], Any], converge_with: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Each host has a repository and no engine any more: the folders of right and of wrong keys, by host."""
    folder = tmp_path_factory.mktemp("keys")

    def on_each(script: str) -> dict[str, str]:
        with ThreadPoolExecutor() as pool:
            return dict(zip(HOSTS, pool.map(lambda name: container(name).check_output(script), HOSTS), strict=True))

    texts = on_each(REPOSITORY.replace("FOLDER", FOLDER))
    for kind, names in ("right", HOSTS), ("wrong", HOSTS[::-1]):
        (folder / kind).mkdir()
        for name, other in zip(HOSTS, names, strict=True):
            (folder / kind / f"{name}.asc").write_text(texts[other])
    on_each(REMOVE)
    yield folder
    on_each(REMOVE)
    assert converge_with().failed == []


@pytest.fixture(scope="module")
def runs(keys: Path, converge_with: Callable[..., Any]) -> list[Any]:
    """With the key of another repository, with the right one and a version, and once more."""

    def run(kind: str) -> Any:
        return converge_with(
            docker_source="docker",
            docker_repository_url=f"file:{FOLDER}",
            docker_repository_key=f"{keys}/{kind}/{{{{ inventory_hostname }}}}.asc",
            docker_version="{{ {'debian12': '20.10', 'debian13': '26.1'}[inventory_hostname] }}",
        )

    return [run("wrong"), run("right"), run("right")]


def test_a_repository_that_another_key_signs_is_refused(host: Any, runs: list[Any]) -> None:
    assert len(runs[0].failed) == len(HOSTS)
    assert "InRelease" in runs[0].messages[host.check_output("hostname")]


def test_the_engine_comes_from_it_and_stays_at_its_version(host: Any, runs: list[Any]) -> None:
    _refused, first, second = runs
    assert first.failed == []
    assert host.package("docker-ce").version.startswith("5:2")
    assert not host.package("docker.io").is_installed
    assert " 1001" in host.check_output("apt-cache policy docker-ce")
    assert host.check_output("docker info --format '{{.LiveRestoreEnabled}}'") == "true"
    assert (second.failed, second.changed) == ([], [])
