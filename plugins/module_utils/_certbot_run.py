# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Calls certbot, and looks at names before it is called."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._certbot import Lineage, Source, Step
from ._certbot_errors import explain_failure, is_about_a_nonce, is_about_the_server, unmask
from ._certbot_host import caa_identities, end_of_log, look, own_addresses, served_token, write_record
from ._certbot_preflight import caa_fault, fault
from ._certbot_record import Failure, Record, request_of
from ._dns_query import system_servers

Run = Callable[[list[str]], tuple[int, str, str]]
#: certbot itself sends a request with a refused nonce once more, and gives up when that is refused too.
NONCE_TRIES = 5


@dataclass(frozen=True)
class Asked:
    """What a preflight is told: declared addresses, name servers (the host's if none), the CA of the ACME server."""

    addresses: Sequence[str]
    nameservers: Sequence[str]
    ca_file: str | None


class Certbot:
    """certbot on this host; `path` is None where it is not installed."""

    def __init__(self, path: str | None, params: Mapping[str, Any], run: Run) -> None:
        self.path = path
        self.run = run
        self._ca_file, self._timeout = params["ca_file"], params["timeout"]

    def version(self) -> tuple[int, ...] | None:
        found = (
            re.search(r"certbot (\d+(?:\.\d+)*)", "".join(self.run([self.path, "--version"])[1:]))
            if self.path
            else None
        )
        return tuple(map(int, found[1].split("."))) if found else None

    def ask(self, step: Step, source: Source, record: Record) -> tuple[Record, str]:
        """Nothing said when it worked, else the sentence that says why not; remembered either way."""
        name = step.certificate.name
        for _try in range(NONCE_TRIES):
            said = self._call(step.argv(source))
            if said is None or not is_about_a_nonce(said):
                break
        if said is None:
            record = record.after_success(name)
        elif not is_about_the_server(said):
            sentence = explain_failure(step, source, said)
            record = record.after_failure(name, Failure(time.time(), request_of(step, source), sentence))
        write_record(record)
        return record, "" if said is None else explain_failure(step, source, said)

    def give_up(self, name: str, lineage: Lineage, how: str) -> str:
        """Delete a certificate, revoked before where that is wanted."""
        argv = [how, "--non-interactive", "--cert-name", name]
        if how == "revoke":
            argv += ["--delete-after-revoke", "--server", lineage.server]
        said = self._call(argv)
        return "" if said is None else f"Certificate '{name}' could not be {how}d: {' '.join(said.split())[-300:]}"

    def _call(self, arguments: list[str]) -> str | None:
        """What certbot said, or None when it worked."""
        environment = {
            **os.environ,
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        }
        environment |= {"REQUESTS_CA_BUNDLE": self._ca_file} if self._ca_file else {}
        try:
            done = subprocess.run(
                [str(self.path), *arguments],
                env=environment,
                capture_output=True,
                text=True,
                timeout=self._timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {self._timeout} seconds"
        return None if done.returncode == 0 else unmask(f"{done.stdout}\n{done.stderr}", end_of_log())


def preflight_faults(steps: Iterable[Step], source: Source, asked: Asked, run: Run) -> dict[Step, str]:
    """Why certificates can't be proved, in one sentence for each of their names."""
    servers = list(asked.nameservers) or system_servers()
    own, identities = own_addresses(run), caa_identities(source.directory_url, asked.ca_file)
    found = {}
    with served_token(Path(source.webroot)) as reach:
        for step in steps:
            sentences = []
            for name in step.certificate.domains:
                looked = look(name, servers)
                if step.certificate.dns:
                    sentence = caa_fault(looked, identities)
                else:
                    sentence = fault(looked, own, asked.addresses, identities, reach(name))
                sentences += [sentence] if sentence else []
            if sentences:
                found[step] = f"Certificate '{step.certificate.name}' was not asked for: {' '.join(sentences)}"
    return found
