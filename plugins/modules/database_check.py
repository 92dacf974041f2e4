#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Check that databases can be reached and logged in to."""

from __future__ import annotations

DOCUMENTATION = r"""
module: database_check
short_description: Refuses to go on where a PostgreSQL database cannot be used
version_added: "0.1.0"
author: ["The quayside.web authors (@quayside)"]
description:
  - Logs in to each database once and fails with one sentence for each that does not let it.
  - Changes nothing. Where C(psycopg2) is not on the host yet, it only checks that the server's port answers; the
    result then says so in RV(logged_in).
attributes:
  check_mode: {support: full, description: "Changes nothing, so it does the same."}
  diff_mode: {support: none, description: Changes nothing.}
options:
  databases:
    description: PostgreSQL URLs by the name of the app that uses them.
    type: dict
    required: true
  timeout:
    description: How many seconds a server may take to answer.
    type: int
    default: 5
"""

EXAMPLES = r"""
- name: Refuse a database URL or password that does not work
  quayside.web.database_check:
    databases: {ledger: "{{ ledger_database_url }}"}
"""

RETURN = r"""
logged_in:
  description: Whether a login was tried, and not only the port.
  type: bool
  returned: success
"""

import socket

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils._database_url import (
    DatabaseUrl,
    DatabaseUrlError,
    parse,
)

try:
    import psycopg2

    HAS_PSYCOPG2 = True
except ImportError:
    HAS_PSYCOPG2 = False


def problem(database: DatabaseUrl, timeout: int) -> str:
    """Return why a database cannot be used; empty if it can."""
    try:
        if HAS_PSYCOPG2:
            psycopg2.connect(**{"connect_timeout": timeout, **database.connect_kwargs()}).close()
        elif not database.host.startswith("/"):
            socket.create_connection((database.host, database.port), timeout=timeout).close()
    except OSError as error:
        return str(error)
    except psycopg2.Error as error:
        # libpq tries each address and repeats itself; its last line is the server's own word.
        return str(error).strip().splitlines()[-1]
    return ""


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "databases": {"type": "dict", "required": True, "no_log": True},
            "timeout": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    sentences = []
    for app, url in module.params["databases"].items():
        try:
            database = parse(url)
        except DatabaseUrlError as error:
            sentences.append(f'app "{app}": database_url: {error}')
            continue
        if database.password:
            module.no_log_values.add(database.password)
        why = problem(database, module.params["timeout"])
        if why:
            sentences.append(
                f'app "{app}": database_url leads to {database.redacted}, which answers "{why}"; '
                "accepted: the URL of a PostgreSQL database that lets this host and user in."
            )
    if sentences:
        module.fail_json(msg=" ".join(sentences))
    module.exit_json(changed=False, logged_in=HAS_PSYCOPG2)


if __name__ == "__main__":
    main()
