#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

DOCUMENTATION = r"""
module: db_migrate
short_description: Bring a database to the schema of an app's release
version_added: "0.1.0"
author: ["The quayside.web authors (@quayside)"]
description:
  - Compares what a PostgreSQL database has applied with the migrations of an image, and applies those that are
    pending in a one-off container of that image; or on the host itself, where no image is named.
  - Only one run at a time works on a database, on whatever host, by a session advisory lock. The one that comes second
    finds nothing left to do.
  - Fails before touching anything when the migrations end in several heads, when the database is at a migration that
    the image does not know, or when an applied SQL file was edited.
  - A migration that fails is never undone by restoring. The result tells the true state and the dump that was taken.
  - When a statement waits for a lock longer than O(lock_timeout), the migration is tried once more, but only if the
    first attempt has moved nothing. This holds for every driver, as waiting DDL is watched from a second session too.
  - While a C(pg_dump) of the database runs, waits for it up to O(timeout), and then fails, as DDL would queue behind
    the dump's locks and every reader behind the DDL.
  - What an image's tool lists is kept in C(/var/lib/quayside/cache), by the files that it was listed from, so that
    another run of the same files starts no container.
notes:
  - Django's rows of apps that the image does not have at all are left alone, as Django itself leaves them.
  - Prisma up to 7 is supported. It was tested with Prisma 6.19 and its schema engine as WebAssembly, with the driver
    adapter C(@prisma/adapter-pg); the native engine of C(binaries.prisma.sh) could not be had, and was not run.
requirements: ["psycopg2", "docker (the Docker SDK for Python), where an image is named"]
attributes:
  check_mode:
    support: full
    description: Lists what is pending, in a container where it must, and changes nothing; creates no schema, table or
      database. On a host where Docker, the image or the database is not there yet, reports that it would migrate.
  diff_mode:
    support: full
    description: Shows the revision before and after, and each migration between them.
options:
  tool:
    description:
      - The migration tool.
      - V(alembic), V(django) and V(prisma) run the tool of that name.
      - V(sql) applies the files of O(path) by itself, each in a transaction of its own, and records them in the table
        C(quayside_migrations) with version, checksum, time and success. The image needs no client for it.
      - V(command) runs O(command), and O(check) to learn whether it has to.
    type: str
    choices: [alembic, django, prisma, sql, command]
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
    description: Reference or ID of an image that is on this host already. Without it the tool runs on the host itself.
    type: str
  command:
    description:
      - How the tool is called, in place of the image's entrypoint.
      - By default V([alembic]), V([python, manage.py]) or V([node_modules/.bin/prisma]). Required when O(tool=command),
        and not accepted when O(tool=sql).
    type: list
    elements: str
  check:
    description: A command that ends with 0 when nothing is pending and changes nothing itself, for O(tool=command).
      Without it O(command) runs every time, and the result is always changed.
    type: list
    elements: str
  path:
    description:
      - Folder of the migrations, absolute or in the working directory, for O(tool=sql), which requires it, and
        O(tool=prisma), where V(prisma/migrations) is the default.
      - SQL files are named by version, as V(0001_create_accounts.sql), and applied in the order of the numbers. Files
        that end in V(.down.sql) are passed over.
      - >-
        A file that starts with the comment C(-- quayside: no-transaction) runs without a transaction, a statement at a
        time, as CREATE INDEX CONCURRENTLY wants; when it fails midway, it is not run again before someone has looked
        at it.
    type: str
  workdir:
    description: Working directory. The image's own by default, and V(/) on the host.
    type: str
  user:
    description: User that the tool runs as. The image's own by default, and Ansible's on the host.
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
    description: Seconds that the migration may take, and seconds to wait for another run or a backup.
    type: float
    default: 600
  allow_ahead:
    description: Whether to accept a database that is at a migration unknown to the image, as after a rollback of the
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

- name: Apply the SQL files of an image
  quayside.web.db_migrate:
    tool: sql
    image: shop:2.0.1
    path: /srv/migrations
    url: "{{ shop_database_url }}"
    backup_root: /var/backups/quayside

- name: Run a tool of one's own only when it says that something is pending
  quayside.web.db_migrate:
    tool: command
    image: shop:2.0.1
    command: [bin/migrate, up]
    check: [bin/migrate, pending, --exit-code]
    url: "{{ shop_database_url }}"

- name: Migrate a Django project that is not in an image
  quayside.web.db_migrate:
    tool: django
    command: [/srv/shop/.venv/bin/python, manage.py]
    workdir: /srv/shop
    user: shop
    url: "{{ shop_database_url }}"
"""

RETURN = r"""
before:
  description: State of the database before. Alembic's revisions, Prisma's or the SQL files' applied migrations, or
    Django's as V(app.name); none for O(tool=command).
  type: list
  elements: str
  returned: when known
after:
  description: State of the database after, as it tells itself; in check mode the state to be expected.
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
  description: Seconds waited for another run, or for a backup.
  type: float
  returned: when known
stdout:
  description: Output of the tool, without secrets.
  type: str
  returned: when known
stderr:
  description: Messages of the tool, without secrets.
  type: str
  returned: when known
"""

import signal
from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrlError, parse
from ansible_collections.quayside.web.plugins.module_utils._docker_run import DOCKER_ERROR, RunError
from ansible_collections.quayside.web.plugins.module_utils._migrate_run import (
    Failed,
    Request,
    check_request,
    migrate,
    read_env_files,
)
from ansible_collections.quayside.web.plugins.module_utils._migration import MigrationError
from ansible_collections.quayside.web.plugins.module_utils._no_log import let_short_values_show
from ansible_collections.quayside.web.plugins.module_utils._pg_session import PSYCOPG2_ERROR, Session, Unreachable


def stop(signum: int, _frame: object) -> NoReturn:
    raise MigrationError(f"The migration was stopped by signal {signum}; run it again to finish it.")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "tool": {"type": "str", "choices": ["alembic", "django", "prisma", "sql", "command"], "default": "alembic"},
            "url": {"type": "str", "required": True, "no_log": True},
            "url_variable": {"type": "str", "default": "DATABASE_URL"},
            "image": {"type": "str"},
            "command": {"type": "list", "elements": "str"},
            "check": {"type": "list", "elements": "str"},
            "path": {"type": "str"},
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
    let_short_values_show(module)
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
        secrets = {**read_env_files(params.pop("env_files")), **params["secrets"]}
        params["secrets"] = {key: str(value) for key, value in secrets.items()}
        params["env"] = {key: str(value) for key, value in params["env"].items()}
        for name in ("command", "check"):
            params[name] = tuple(params[name]) if params[name] else None
        request = Request(**params)
        check_request(request)
        needed = (("docker", DOCKER_ERROR if request.image else None), ("psycopg2", PSYCOPG2_ERROR))
        for name, missing in needed:
            if missing:
                not_ready(f"{name} is not installed yet" if module.check_mode else missing_required_lib(name))
        with Session(url) as session:
            module.exit_json(**migrate(request, session, check=module.check_mode))
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
