# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""The internet, over IPv4 and IPv6; containers on each host that publish ports in every way."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import testinfra
from firewall import CONTAINERS, HOSTS, IMAGE, PROBE, SERVE


@pytest.fixture(scope="session")
def outside(network: str, here: Any) -> Iterator[Any]:
    """Another machine of the network, with an address of IPv6."""
    name = f"{network}-outside"
    here.run("docker rm -fv %s", name)
    here.check_output(
        "docker run -d --name %s --network %s --cap-add NET_ADMIN --sysctl net.ipv6.conf.all.disable_ipv6=0 "
        "quayside/services:bookworm sleep infinity",
        name,
        network,
    )
    here.check_output("docker exec %s ip -6 address add fd00:15::99/64 dev eth0 nodad", name)
    yield testinfra.get_host(f"docker://{name}")
    here.check_output("docker rm -fv %s", name)


@pytest.fixture(scope="session")
def answers(outside: Any, address_of: Callable[[str], str]) -> Callable[..., dict[str, list[int]]]:
    """Which of these ports answer another machine, by IP version: `answers("debian12", 22, 80)`."""

    def probe(name: str, *ports: int) -> dict[str, list[int]]:
        addresses = {"ipv4": address_of(name), "ipv6": f"fd00:15::{name[-2:]}"}
        arguments = " ".join(map(str, ports))
        return {
            version: [
                int(port) for port in outside.check_output(f"python3 -c %s %s {arguments}", PROBE, address).split()
            ]
            for version, address in addresses.items()
        }

    return probe


@pytest.fixture(scope="module")
def publishing(container: Callable[[str], Any]) -> Iterator[None]:
    """Every host with all the containers."""
    for name in HOSTS:
        shell = container(name)
        if shell.run("docker image inspect tiny:test").rc != 0:
            shell.check_output(IMAGE)
        shell.check_output("docker network create --opt com.docker.network.bridge.name=shop0 named")
        shell.check_output("docker network create plain")
        shell.check_output("docker network create --ipv6 --subnet fd00:99::/64 six")
        for published, options in CONTAINERS.items():
            shell.check_output(f"docker run --detach --restart unless-stopped --name {published} {options} {SERVE}")
    yield
    for name in HOSTS:
        container(name).run("docker rm --force " + " ".join(CONTAINERS))
        container(name).run("docker network rm named plain six")


@pytest.fixture(scope="session")
def ssh(tmp_path_factory: pytest.TempPathFactory, container: Callable[[str], Any], address_of: Any) -> Path:
    """An inventory of the hosts over SSH."""
    folder = tmp_path_factory.mktemp("ssh")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "id")], check=True)
    key = (folder / "id.pub").read_text()
    for name in HOSTS:
        shell = container(name)
        shell.check_output("printf %%s %s > /home/deploy/.ssh/authorized_keys", key)
        shell.check_output(
            "chown deploy: /home/deploy/.ssh/authorized_keys && chmod 600 /home/deploy/.ssh/authorized_keys"
        )
    common = f"-o UserKnownHostsFile={folder / 'known'} -o StrictHostKeyChecking=no"
    variables = {
        "ansible_user": "deploy",
        "ansible_become": True,
        "ansible_connection": "ssh",
        "ansible_ssh_private_key_file": str(folder / "id"),
        "ansible_ssh_common_args": common,
    }
    hosts = {name: {"ansible_host": address_of(name)} for name in HOSTS}
    inventory = folder / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}))
    return inventory
