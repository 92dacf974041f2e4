#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

DOCUMENTATION = r"""
module: db_migrate
short_description: Bring a database to the schema of an app's image
version_added: "0.1.0"
author: ["The quayside.web authors (@quayside)"]
description:
  - Compares the revision that a PostgreSQL database is at with the migrations that an image holds, and applies those that
    are pending in a one-off container of that image.
  - Only one run at a time works on a database, on whatever host, by a session advisory lock. The one that comes second
    finds nothing left to do.
  - Fails before touching anything when the image has several heads, or the database is at a revision that the image
    does not know.
requirements: ["psycopg2", "docker (the Docker SDK for Python)"]
attributes:
  check_mode:
    support: full
    description: Starts a container to list the image's migrations, and changes nothing. On a host where Docker, the image
      or the database is not there yet, reports that it would migrate.
  diff_mode:
    support: full
    description: Shows the revision before and after, and each migration between them.
options:
  tool:
    description: The migration tool in the image.
    type: str
    choices: [alembic]
    default: alembic
  url:
    description:
      - URL of the database, C(postgresql://user:password@host:port/database), which the tool gets too.
      - It must lead to PostgreSQL itself; a connection pooler such as PgBouncer is refused.
    type: str
    required: true
  url_variable:
    description: Environment variable in which the image expects the URL.
    type: str
    default: DATABASE_URL
  image:
    description: Reference or ID of an image that is on this host already.
    type: str
    required: true
  command:
    description: How the tool is called in the image, in place of the image's entrypoint.
    type: list
    elements: str
    default: [alembic]
  workdir:
    description: Working directory in the container. The image's own by default.
    type: str
  user:
    description: User in the container. The image's own by default.
    type: str
  network:
    description: Docker network of the container.
    type: str
  env:
    description: More environment of the container, without secrets.
    type: dict
    default: {}
  env_files:
    description: Files on the host with more environment, C(KEY=value) lines as for C(docker run --env-file). Their values
      are masked in the output.
    type: list
    elements: path
    default: []
  version_table:
    description: Alembic's version table, with its schema where that is not in the search path.
    type: str
    default: alembic_version
  lock_timeout:
    description: How long a statement may wait for a lock on a table, as V(5s), V(500ms) or V(1min), before the migration
      fails. Readers of the table queue behind it as long as it waits.
    type: str
    default: 5s
  timeout:
    description: Seconds that the migration may take, and seconds to wait for another run.
    type: float
    default: 600
  allow_ahead:
    description: Whether to accept a database that is at a revision unknown to the image, as after a rollback of the app.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Migrate the ledger's database
  quayside.web.db_migrate:
    image: registry.example.com/ledger:1.4.0
    url: "{{ ledger_database_url }}"
    env_files: [/var/lib/quayside/apps/ledger/secrets.env]

- name: Migrate with a configuration file in a folder of the image
  quayside.web.db_migrate:
    image: shop:2.0.1
    url: "{{ shop_database_url }}"
    command: [python3, -m, alembic, -c, db/alembic.ini]
    workdir: /srv/shop
    lock_timeout: 2s
"""

RETURN = r"""
before: {description: Revisions of the database before., type: list, elements: str, returned: when known}
after: {description: Revisions of the database after; in check mode those to be expected., type: list, elements: str, returned: when known}
pending: {description: Migrations that were to be applied., type: list, elements: str, returned: when known}
applied: {description: Migrations that were applied, read from the database., type: list, elements: str, returned: when known}
failed_migration: {description: The migration that failed., type: str, returned: on failure where known}
ahead: {description: Whether the database is ahead of the image., type: bool, returned: when known}
duration: {description: Seconds that the tool ran., type: float, returned: when known}
lock_wait: {description: Seconds waited for another run., type: float, returned: when known}
stdout: {description: Output of the tool., type: str, returned: when it ran}
stderr: {description: Messages of the tool., type: str, returned: when it ran}
"""

import signal
import time
from pathlib import Path
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.quayside.web.plugins.module_utils import _alembic, _docker_run, _migration, _pg_session
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrl, DatabaseUrlError, parse


class Tool:
    """The tool in the image: every call is a one-off container."""

    def __init__(self, params: dict[str, Any], url: DatabaseUrl) -> None:
        files = [_migration.parse_env_file(Path(path).read_text(encoding="utf-8")) for path in params["env_files"]]
        secrets = {key: value for file in files for key, value in file.items()}
        given = {key: str(value) for key, value in params["env"].items()}
        self.params = params
        self.secrets = [params["url"], url.password, *(value for value in secrets.values() if len(value) > 5)]
        self.labels = {
            _migration.ROLE_LABEL: _migration.ROLE,
            _migration.DATABASE_LABEL: _migration.database_label(url),
        }
        self.env = _migration.tool_env(
            {**given, **secrets},
            url=params["url"],
            url_variable=params["url_variable"],
            lock_timeout_ms=_migration.milliseconds(params["lock_timeout"]),
        )
        self.client = _docker_run.connect()
        self.image = _docker_run.image_id(self.client, params["image"])

    def run(self, arguments: tuple[str, ...], labels: dict[str, str]) -> tuple[int, str, str]:
        code, stdout, stderr = _docker_run.run_once(
            self.client,
            self.image,
            [*self.params["command"], *arguments],
            env=self.env,
            timeout=self.params["timeout"],
            labels=labels,
            **{key: self.params[key] for key in ("workdir", "user", "network")},
        )
        return code, _migration.mask(stdout, self.secrets), _migration.mask(stderr, self.secrets)

    def tree(self) -> _alembic.Tree:
        labels = {**self.labels, _migration.ROLE_LABEL: f"{_migration.ROLE}-plan"}
        code, stdout, stderr = self.run(_alembic.HISTORY, labels)
        if code != 0:
            raise _migration.MigrationError(
                f"`{' '.join(self.params['command'])} history` failed in image {self.params['image']} with exit code "
                f"{code}: {_migration.last_line(stderr or stdout)}"
            )
        return _alembic.parse_history(stdout)


def migrate(module: AnsibleModule, tool: Tool, session: _pg_session.Session) -> dict[str, Any]:
    params = module.params
    tree = tool.tree()

    def planned() -> _migration.Plan:
        return _alembic.plan(
            tree,
            session.revisions(params["version_table"]),
            image=params["image"],
            database=session.url.database,
            allow_ahead=params["allow_ahead"],
        )

    plan, lock_wait = planned(), 0.0
    if plan.changed and not module.check_mode:
        lock_wait = session.lock(_migration.lock_key(session.url.database), params["timeout"])
        _docker_run.remove_leftovers(tool.client, tool.labels, now=time.time())
        session.terminate_leftovers()
        plan = planned()
    result = report(plan) | {"lock_wait": round(lock_wait, 2)}
    if not plan.changed or module.check_mode:
        return result

    start = time.monotonic()
    try:
        code, stdout, stderr = tool.run(_alembic.UPGRADE, tool.labels)
        why = f"exit code {code}: {_migration.last_line(stderr or stdout)}"
    except _docker_run.RunTimeout as exc:
        code, why = 1, str(exc)
        stdout, stderr = (_migration.mask(text, tool.secrets) for text in (exc.stdout, exc.stderr))
        session.terminate_leftovers()
    after = session.revisions(params["version_table"])
    done = _alembic.applied(tree, plan.before, after)
    result |= {
        "changed": bool(done),
        "after": list(after),
        "applied": list(done),
        "duration": round(time.monotonic() - start, 2),
        "stdout": stdout,
        "stderr": stderr,
    }
    if code != 0 or set(after) != set(plan.after):
        failed = _alembic.failed_migration(stderr, plan.pending, done)
        module.fail_json(
            msg=f"Migration {failed or 'of some step'} of image {params['image']} failed on database "
            f"{session.url.database}, which is now at {', '.join(after) or 'no revision'}: {why}",
            **{**result, "failed_migration": failed},
        )
    return result


def report(plan: _migration.Plan) -> dict[str, Any]:
    return {
        "changed": plan.changed,
        "before": list(plan.before),
        "after": list(plan.after),
        "pending": [step.id for step in plan.pending],
        "applied": [],
        "ahead": plan.ahead,
        "duration": 0.0,
        "diff": _migration.diff(plan),
    }


def stop(signum: int, _frame: object) -> NoReturn:
    raise _migration.MigrationError(f"The migration was stopped by signal {signum}.")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "tool": {"type": "str", "choices": ["alembic"], "default": "alembic"},
            "url": {"type": "str", "required": True, "no_log": True},
            "url_variable": {"type": "str", "default": "DATABASE_URL"},
            "image": {"type": "str", "required": True},
            "command": {"type": "list", "elements": "str", "default": ["alembic"]},
            "workdir": {"type": "str"},
            "user": {"type": "str"},
            "network": {"type": "str"},
            "env": {"type": "dict", "default": {}},
            "env_files": {"type": "list", "elements": "path", "default": []},
            "version_table": {"type": "str", "default": "alembic_version"},
            "lock_timeout": {"type": "str", "default": "5s"},
            "timeout": {"type": "float", "default": 600},
            "allow_ahead": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )

    def unknown(why: str) -> None:
        """Check mode on a host that is not set up yet is no error; anything else is."""
        if not module.check_mode:
            module.fail_json(msg=why)
        module.exit_json(changed=True, msg=f"Would migrate (state unknown: {why})")

    try:
        url = parse(module.params["url"])
        _migration.milliseconds(module.params["lock_timeout"])
        for name, missing in (("docker", _docker_run.DOCKER_ERROR), ("psycopg2", _pg_session.PSYCOPG2_ERROR)):
            if missing:
                unknown(f"{name} is not installed yet" if module.check_mode else missing_required_lib(name))
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, stop)
        for warning in _migration.url_warnings(module.params["url"]):
            module.warn(warning)
        with _pg_session.Session(url) as session:
            module.exit_json(**migrate(module, Tool(module.params, url), session))
    except _pg_session.Unreachable as exc:
        unknown(str(exc)) if exc.bearable else module.fail_json(msg=str(exc))
    except (_docker_run.RunError, FileNotFoundError) as exc:
        unknown(str(exc))
    except (DatabaseUrlError, _migration.MigrationError, OSError) as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
