# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""nginx sends requests to as many replicas as the release has, also where it was written for another number."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

from ._app_places import slot_ports
from ._nginx_host import Nginx, NginxError, exclusive, read_host, read_tree
from ._nginx_tree import Plan, make_plan
from ._nginx_upstreams import site_file, with_ports
from ._release import SLOTS
from ._release_host import ReleaseError

ROOT = Path("/etc/nginx")
_STATUS = re.compile(r"listen 127\.0\.0\.1:(\d+);\n\s*server_name localhost;")
TIMEOUT = 5


class Upstreams:
    """The upstreams of one app.

    Args:
        app: its name.
        slot_port: the first port of its block.
        replicas: how many web containers its release has.
    """

    def __init__(self, app: str, slot_port: int, replicas: int) -> None:
        self.app = app
        self.ports = slot_ports(slot_port, replicas)

    def serve(self, slots: Collection[str] = SLOTS, *, check: bool = False) -> bool:
        """Have these slots' upstreams list the release's ports, and return whether they did not before.

        Without a site there is nothing to do.

        Raises:
            ReleaseError: nginx did not take the change; its old configuration runs.
        """
        binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")
        if binary is None or not (ROOT / site_file(self.app)).exists():
            return False
        try:
            with exclusive(ROOT):
                plan, port = self._plan(binary, slots)
                if plan.changes_files and not check:
                    Nginx(binary, ROOT, "nginx", port, _run).apply(plan, TIMEOUT)
                return plan.changes_files
        except (NginxError, OSError) as error:
            raise ReleaseError(f'app "{self.app}": its replicas could not be told to nginx: {error}') from error

    def _plan(self, binary: str, slots: Collection[str]) -> tuple[Plan, int]:
        path, tree = site_file(self.app), read_tree(ROOT)
        text = with_ports(tree[path], self.app, {slot: self.ports[slot] for slot in slots})
        status = _STATUS.search("".join(tree.values()))
        if status is None:
            raise NginxError("its configuration has no status server; run site.yml")
        return make_plan(tree, {path: text}, [path], read_host(binary, _run)), int(status[1])


def _run(command: list[str]) -> tuple[int, str, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr
