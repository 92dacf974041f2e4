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
  - Compares the revision that a PostgreSQL database is at with the migrations that an image holds, and applies those
    that are pending in a one-off container of that image.
  - Only one run at a time works on a database, on whatever host, by a session advisory lock. The one that comes second
    finds nothing left to do.
  - Fails before touching anything when the image has several heads, or the database is at a revision that the image
    does not know.
requirements: ["psycopg2", "docker (the Docker SDK for Python)"]
attributes:
  check_mode:
    support: full
    description: Starts a container to list the image's migrations, and changes nothing. On a host where Docker, the
      image or the database is not there yet, reports that it would migrate.
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
  secrets:
    description: More environment of the container, shown nowhere. It wins over O(env).
    type: dict
    default: {}
  env_files:
    description: Files on the host with more environment, C(KEY=value) lines as for C(docker run --env-file). Their
      values are masked in the output. O(secrets) wins over them.
    type: list
    elements: path
    default: []
  version_table:
    description: Alembic's version table, with its schema where that is not in the search path.
    type: str
    default: alembic_version
  lock_timeout:
    description: How long a statement may wait for a lock on a table, as V(5s), V(500ms) or V(1min), before the
      migration fails. Readers of the table queue behind it as long as it waits.
    type: str
    default: 5s
  timeout:
    description: Seconds that the migration may take, and seconds to wait for another run.
    type: float
    default: 600
  allow_ahead:
    description: Whether to accept a database that is at a revision unknown to the image, as after a rollback of the
      app. Nothing is applied then.
    type: bool
    default: false
  backup_root:
    description: Backup repository on this host. A verified dump goes there first, when something is pending and the
      database holds any table. No dump is taken without it.
    type: path
  backup_name:
    description: Name of the backup in O(backup_root). The database's name by default.
    type: str
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
before:
  description: Revisions of the database before.
  type: list
  elements: str
  returned: when known
after:
  description: Revisions of the database after; in check mode those to be expected.
  type: list
  elements: str
  returned: when known
pending:
  description: Migrations that were to be applied, in their order.
  type: list
  elements: str
  returned: when known
applied:
  description: Migrations that were applied, as the database itself tells.
  type: list
  elements: str
  returned: when known
failed_migration:
  description: The migration that failed, where it is known.
  type: str
  returned: on failure
ahead:
  description: Whether the database is ahead of the image.
  type: bool
  returned: when known
backup_id:
  description: The dump that was taken first.
  type: str
  returned: when known
duration:
  description: Seconds that the tool ran.
  type: float
  returned: when known
lock_wait:
  description: Seconds waited for another run.
  type: float
  returned: when known
stdout:
  description: Output of the tool, without secrets.
  type: str
  returned: when it ran
stderr:
  description: Messages of the tool, without secrets.
  type: str
  returned: when it ran
"""

import signal
from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrlError, parse
from ansible_collections.quayside.web.plugins.module_utils._docker_run import DOCKER_ERROR, RunError
from ansible_collections.quayside.web.plugins.module_utils._migrate_run import Failed, Request, migrate, read_env_files
from ansible_collections.quayside.web.plugins.module_utils._migration import MigrationError, milliseconds, url_warnings
from ansible_collections.quayside.web.plugins.module_utils._pg_session import PSYCOPG2_ERROR, Session, Unreachable


def stop(signum: int, _frame: object) -> NoReturn:
    raise MigrationError(f"The migration was stopped by signal {signum}; run it again to finish it.")


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
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "env_files": {"type": "list", "elements": "path", "default": []},
            "version_table": {"type": "str", "default": "alembic_version"},
            "lock_timeout": {"type": "str", "default": "5s"},
            "timeout": {"type": "float", "default": 600},
            "allow_ahead": {"type": "bool", "default": False},
            "backup_root": {"type": "path"},
            "backup_name": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params = dict(module.params)

    def not_ready(why: str) -> None:
        """Check mode bears a host that is not set up yet."""
        if not module.check_mode:
            module.fail_json(msg=why)
        module.exit_json(changed=True, msg=f"Would migrate (state unknown: {why})")

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)
    try:
        url = parse(params["url"])
        milliseconds(params["lock_timeout"])
        for name, missing in (("docker", DOCKER_ERROR), ("psycopg2", PSYCOPG2_ERROR)):
            if missing:
                not_ready(f"{name} is not installed yet" if module.check_mode else missing_required_lib(name))
        for warning in url_warnings(params["url"]):
            module.warn(warning)
        del params["tool"]
        secrets = {**read_env_files(params.pop("env_files")), **params["secrets"]}
        params["secrets"] = {key: str(value) for key, value in secrets.items()}
        params["env"] = {key: str(value) for key, value in params["env"].items()}
        with Session(url) as session:
            module.exit_json(**migrate(Request(**params), session, check=module.check_mode))
    except Unreachable as exc:
        if not exc.bearable:
            module.fail_json(msg=str(exc))
        not_ready(str(exc))
    except (RunError, FileNotFoundError) as exc:
        not_ready(str(exc))
    except Failed as exc:
        module.fail_json(msg=str(exc), **exc.result)
    except (DatabaseUrlError, MigrationError, OSError) as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
