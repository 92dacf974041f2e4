# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""What the tests of the firewall share."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOSTS = ("debian12", "debian13")
# Only what a process that serves one page needs, from the host's own files.
IMAGE = """
set -e
mkdir -p /tmp/image/tmp /tmp/image/etc
for file in /usr/bin/python3 /bin/sleep /bin/sh; do
    cp --parents -L $file $(ldd $file | grep -o '/[^ ]*') /tmp/image/
done
cp -r --parents /usr/lib/python3.*/ /tmp/image/
tar -C /tmp/image -c . | docker import - tiny:test
rm -r /tmp/image
"""
SERVE = "tiny:test /usr/bin/python3 -m http.server 8000 --bind ::"
#: Where each container publishes, and on which network.
CONTAINERS = {
    "everybody": "--publish 0.0.0.0:8080:8000 --publish [::]:8080:8000",
    "loopback": "--publish 127.0.0.1:8081:8000",
    "allowed": "--publish 0.0.0.0:8082:8000 --publish [::]:8082:8000",
    "named-bridge": "--publish 0.0.0.0:8083:8000 --network named",
    "own-network": "--publish 0.0.0.0:8084:8000 --network plain",
    "other-people": "--publish 0.0.0.0:8085:8000",
    "everybody-of-ipv6": "--publish [::]:8086:8000 --network six",
    "allowed-of-ipv6": "--publish [::]:8087:8000 --network six",
}
PROBE = """
import concurrent.futures, socket, sys
def answers(port):
    try:
        with socket.create_connection((sys.argv[1], port), 1) as stream:
            # With a proxy in between only an answer says that somebody is there.
            stream.settimeout(2)
            stream.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            return bool(stream.recv(4))
    except OSError:
        return False
ports = list(map(int, sys.argv[2:]))
with concurrent.futures.ThreadPoolExecutor(len(ports)) as pool:
    print(*(port for port, there in zip(ports, pool.map(answers, ports)) if there))
"""


def wait_until(check: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)


def apply(host: Any, module: str = "ufw_rules", **options: Any) -> dict[str, Any]:
    """One run of a module, with what it returned or failed with."""
    try:
        return dict(host.ansible(f"quayside.web.{module}", json.dumps(options), check=False))
    except host.ansible.AnsibleException as failed:
        return dict(failed.result)


def run(inventory: Path, name: str = "converge.yml", **variables: Any) -> subprocess.CompletedProcess[str]:
    """One of the scenario's playbooks on the hosts of another inventory."""
    playbook = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / name
    return subprocess.run(
        ["ansible-playbook", "-i", str(inventory), str(playbook), "-e", json.dumps(variables)],
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def said(ended: subprocess.CompletedProcess[str]) -> str:
    """All of it on one line, errors too."""
    return " ".join(f"{ended.stdout} {ended.stderr}".split())
