# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Registries: root's logins to one that asks for a password, and a mirror of Docker Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

REGISTRY_PASSWORD = "r3gistry-s3ntinel"
SERVE = """
import crypt, pathlib, sys
folder = pathlib.Path("/srv/registry")
folder.mkdir(parents=True)
secret = crypt.crypt(sys.argv[1], crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))
(folder / "passwords").write_text(f"ci:{secret}\\n")
asking = f"auth: {{htpasswd: {{realm: test, path: {folder}/passwords}}}}"
for port, auth in (5001, asking), (5002, ""):
    (folder / f"{port}.yml").write_text(f'''
version: "0.1"
storage: {{filesystem: {{rootdirectory: {folder}}}}}
{auth}
http: {{addr: ":{port}"}}
''')
"""
START = "sh -c 'for port in 5001 5002; do docker-registry serve /srv/registry/$port.yml >/dev/null 2>&1 & done'"
ELSEWHERE = "/var/lib/docker/elsewhere"


@pytest.fixture(scope="module")
def registry(outside: Any, address_of: Callable[[str], str]) -> str:
    """A registry on another machine that asks for a password; on the next port it asks nobody."""
    outside.check_output("python3 -W ignore -c %s %s", SERVE, REGISTRY_PASSWORD)
    outside.check_output(START)
    return f"{address_of('outside')}:5001"


@pytest.fixture(scope="module")
def log_in(registry: str, converge_with: Callable[..., Any]) -> Callable[[str], Any]:
    """Converges with one login, by its password."""

    def run(password: str) -> Any:
        login = {"registry": registry, "username": "ci", "password": password}
        return converge_with(docker_daemon_options={"insecure-registries": [registry]}, docker_logins=[login])

    return run


@pytest.fixture(scope="module")
def logins(log_in: Callable[[str], Any]) -> list[Any]:
    """With a wrong password, with the right one, and once more."""
    return [log_in(password) for password in ("wr0ng-s3ntinel", REGISTRY_PASSWORD, REGISTRY_PASSWORD)]


def test_root_is_logged_in_to_a_registry(host: Any, registry: str, logins: list[Any]) -> None:
    assert logins[1].failed == []
    host.check_output("tar -c -T /dev/null | docker import - %s/library/nothing:1", registry)
    host.check_output("docker push -q %s/library/nothing:1", registry)
    host.check_output("docker rmi %s/library/nothing:1", registry)
    config = host.file("/root/.docker/config.json")
    assert (config.user, config.mode) == ("root", 0o600)
    host.check_output("docker logout %s", registry)
    assert host.run("docker push -q %s/library/nothing:1", registry).rc != 0, "the registry asks nobody for a password"


def test_a_second_login_changes_nothing(logins: list[Any]) -> None:
    assert (logins[2].failed, logins[2].changed) == ([], [])


def test_a_wrong_password_is_told_and_not_shown(registry: str, logins: list[Any]) -> None:
    assert len(logins[0].failed) == 2
    assert f"Logging into {registry} for user ci failed" in logins[0].output
    assert not any(secret in run.output for run in logins for secret in ("wr0ng-s3ntinel", REGISTRY_PASSWORD))


@pytest.fixture(scope="module")
def mirrored(registry: str, logins: list[Any], converge_with: Callable[..., Any]) -> Iterator[Any]:
    """With a mirror, and with a folder of its own for all that the engine keeps."""
    url = f"http://{registry.replace(':5001', ':5002')}"
    insecure = {"insecure-registries": [registry]}
    yield converge_with(docker_registry_mirrors=[url], docker_data_root=ELSEWHERE, docker_daemon_options=insecure)
    assert converge_with().failed == []


def test_images_of_docker_hub_come_from_a_mirror(host: Any, mirrored: Any) -> None:
    assert mirrored.failed == []
    assert host.check_output("docker info --format '{{.DockerRootDir}}'") == ELSEWHERE
    assert host.check_output("docker images --quiet") == ""
    assert host.check_output("docker pull -q nothing:1") == "docker.io/library/nothing:1"
