# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""What the tests of backups share: the two servers, checks that run on both at once, playbooks, independent sums."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
sys.path.insert(0, str(PROJECT))

from testbed.faults.backups.bed import ROOT, Done, Host, wait_for  # noqa: E402, F401

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SCENARIO = PROJECT / "molecule/backup"
SENTINEL = "s3ntinel"
SERVICES = Host("services", "quayside-backup-services")
DEBIAN12, DEBIAN13 = (Host(f"debian{n}", f"quayside-backup-debian{n}", SERVICES.container) for n in (12, 13))
HOSTS = (DEBIAN12, DEBIAN13)
KEYS = EPHEMERAL / "keys"
#: Money of pgbench that has to add up: each transaction books one amount in all four tables.
BALANCES = (
    "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), "
    "(SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history)"
)
_PINNED = (
    "SET extra_float_digits = 3; SET datestyle = 'ISO, YMD'; SET intervalstyle = postgres; SET timezone = 'UTC'; "
    "SET bytea_output = hex; "
)


def both(check: Callable[..., None]) -> Callable[..., None]:
    """Run a test on both servers side by side; it takes the host first, and then its parameters."""

    def run(**parameters: Any) -> None:
        with ThreadPoolExecutor() as pool:
            ends = [(host, pool.submit(check, host, **parameters)) for host in HOSTS]
        wrong = [(host, end.exception()) for host, end in ends if end.exception()]
        for host, error in wrong[1:]:
            print(f"{host.name} too: {type(error).__name__}: {error}")
        if wrong and wrong[0][1]:
            print(f"on {wrong[0][0].name}:")
            raise wrong[0][1]

    run.__name__, run.__doc__ = check.__name__, check.__doc__
    signature = inspect.signature(check)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=list(signature.parameters.values())[1:]
    )
    return run


def good(done: Done) -> Done:
    assert done.code == 0, done.said[-3000:]
    return done


def refused(done: Done, *words: str) -> Done:
    """It failed, said why in words for a person, and gave nothing away."""
    assert done.code == 1, f"exit code {done.code}: {done.said[-3000:]}"
    said = " ".join(done.said.split())
    assert "Traceback" not in said, said
    assert SENTINEL not in said
    for word in words:
        assert word in said, said
    return done


def back_up(host: Host, name: str) -> dict[str, Any]:
    """A backup by the unit that the timer starts."""
    done = host.unit(name)
    assert done.code == 0, host.shell(f"journalctl -q --no-pager -n 30 -u quayside-backup@{name}.service")
    return host.backups(name)[-1]


def newest(host: Host, name: str = "shop") -> dict[str, Any]:
    """The newest backup that is to be trusted, where it does not matter when it was taken."""
    verified = [backup for backup in host.backups(name) if backup["verified"]]
    return verified[-1] if verified else back_up(host, name)


def sums(host: Host, database: str, table: dict[str, Any], port: int = 5432) -> str:
    """The hash of a table by the documented rule, computed here and not by what is under test."""
    name = ".".join('"' + table[key].replace('"', '""') + '"' for key in ("schema", "name"))
    query = (
        f"{_PINNED} SELECT coalesce(sum(('x' || left(encode(sha256(convert_to(t::text, 'UTF8')), 'hex'), 16))"
        f"::bit(64)::bigint), 0), count(*) FROM ONLY {name} t"
    )
    total, rows = host.sql(query, database, port).splitlines()[-1].split("|")
    assert int(rows) == table["rows"], f"{name} holds {rows} rows instead of {table['rows']}"
    return f"{int(total) % 2**64:016x}"


def playbook(
    name: str, *arguments: str, extra: dict[str, Any] | None = None, limit: str = "web", variables: bool = True
) -> Done:
    """A playbook of the collection, as a person runs it, with as much output as there is.

    Without `variables` the scenario's own databases are unknown to it; as extra variables they would win over others.
    """
    command = [
        "ansible-playbook",
        f"--inventory={EPHEMERAL / 'inventory'}",
        f"--limit={limit}",
        "-vvv",
        "--diff",
        *arguments,
        *([f"--extra-vars=@{SCENARIO / 'vars/databases.yml'}"] if variables else []),
        "-e",
        json.dumps(extra or {}),
        str(PROJECT / name),
    ]
    run = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    if SENTINEL in run.stdout:
        where = run.stdout.index(SENTINEL)
        pytest.fail(f"a secret was shown: {run.stdout[max(0, where - 300) : where + 300]}", pytrace=False)
    # As one line, because YAML folds long sentences.
    return Done(run.returncode, " ".join(run.stdout.split()), "")
