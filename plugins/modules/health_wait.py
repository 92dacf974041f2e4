#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

DOCUMENTATION = r"""
module: health_wait
short_description: Wait until services are healthy, and say why not
version_added: "0.1.0"
author: ["The quayside.web authors (@quayside)"]
description:
  - Tries an URL, a TCP port, a container or a PostgreSQL server from the host that the task runs on, until it passed as
    many times in a row as asked. Several of them are tried at once.
  - When time is over, the message names the target, what was found last and what was expected. It tells a name that
    does not resolve, a refused connection, a TLS failure, a timeout, a wrong status and a wrong body apart; a starting
    database from a wrong password and an unknown database. It holds the last lines of a container that does not run.
  - What waiting cannot heal ends the wait at once, namely a container that has exited and a login that is refused.
requirements:
  - C(python3-requests) on the host, for O(url)
  - C(python3-docker) on the host, for O(container)
  - C(python3-psycopg2) on the host, for an URL in O(postgres)
attributes:
  check_mode:
    support: full
    description: Tries once, does not wait and never fails; the return value RV(healthy) tells the outcome.
  diff_mode:
    support: none
    description: Nothing is changed.
options:
  url:
    description: URL to get. Redirects are not followed and proxies are not used.
    type: str
  tcp:
    description: Address that must accept a connection, as C(host:port).
    type: str
  container:
    description:
      - Name or id of a container that must run, without a restart in the last 10 seconds or between two tries, and be
        healthy if it has a HEALTHCHECK.
      - One that has exited and is not being restarted fails the task at once, with its exit code and last 50 lines.
    type: str
  postgres:
    description:
      - A database URL such as V(postgresql://user:password@host:5432/name). It must let the user in and answer a query.
        A refused login fails the task at once; a starting server and an unknown database are waited for.
      - Or V(host:port) alone. The server must accept connections, as with C(pg_isready); nobody logs in.
    type: str
  targets:
    description: Several things to wait for at once, in place of O(url), O(tcp), O(container) and O(postgres). What a
      target leaves out is taken from the option of that name beside O(targets).
    type: list
    elements: dict
    suboptions:
      url: {description: As O(url)., type: str}
      tcp: {description: As O(tcp)., type: str}
      container: {description: As O(container)., type: str}
      postgres: {description: As O(postgres)., type: str}
      status: {description: As O(status)., type: list, elements: int}
      expect: {description: As O(expect)., type: dict}
      headers: {description: As O(headers)., type: dict}
      host: {description: As O(host)., type: str}
      connect_to: {description: As O(connect_to)., type: str}
      ca_path: {description: As O(ca_path)., type: path}
      successes: {description: As O(successes)., type: int}
      interval: {description: As O(interval)., type: float}
      try_timeout: {description: As O(try_timeout)., type: float}
  status:
    description: Accepted HTTP statuses.
    type: list
    elements: int
    default: [200]
  expect:
    description: Values that the JSON answer must hold, by dotted path, such as C(checks.0.status).
    type: dict
    default: {}
  headers:
    description: Request headers. What C(Authorization), C(Cookie), C(X-Api-Key) and the like hold is never shown.
    type: dict
    default: {}
  host:
    description: The Host header, where it is not the one of O(url).
    type: str
  connect_to:
    description: Address to connect to, as C(host:port), in place of that of O(url). The name in O(url) still counts for
      the Host header, for SNI and for the check of the certificate.
    type: str
  ca_path:
    description: File with the certificate authorities that are trusted, instead of those of the system.
    type: path
  successes:
    description: How many tries must pass in a row.
    type: int
    default: 1
  interval:
    description: Seconds between two tries.
    type: float
    default: 1
  timeout:
    description: Seconds in all, for all targets together.
    type: float
    default: 60
  try_timeout:
    description: Seconds for one try.
    type: float
    default: 5
"""

EXAMPLES = r"""
- name: Wait for the app
  quayside.web.health_wait:
    url: http://127.0.0.1:21010/health
    host: ledger.example.com
    headers:
      X-Forwarded-Proto: https
    expect:
      status: ok
      database.reachable: true
    successes: 3

- name: See that the site answers on this very host with a valid certificate
  quayside.web.health_wait:
    url: https://ledger.example.com/health
    connect_to: 127.0.0.1:443
    status: [200, 204]

- name: Wait until the database lets the app in
  quayside.web.health_wait:
    postgres: "{{ ledger_database_url }}"
    timeout: 20

- name: Wait for all that the app needs, at once
  quayside.web.health_wait:
    targets:
      - postgres: db.internal:5432
      - tcp: cache.internal:6379
      - container: search
        successes: 3
      - url: https://login.example.com/ready
        ca_path: /etc/ssl/internal-ca.pem
    timeout: 120
"""

RETURN = r"""
healthy:
  description: Whether all targets passed.
  type: bool
  returned: always
attempts:
  description: Number of tries, of all targets together.
  type: int
  returned: always
elapsed:
  description: Seconds in all.
  type: float
  returned: always
latency_ms:
  description: Milliseconds that the last try took; of several targets, the slowest one's.
  type: float
  returned: always
status:
  description: The last HTTP status, if there was one. This and the next three are, of several targets, those of the
    first that is not healthy.
  type: int
  returned: always
last_error:
  description: What the last failed try said, or nothing.
  type: str
  returned: always
error:
  description:
    - The kind of the last failure, or nothing.
    - Of the network, one of V(dns), V(refused), V(tls), V(timeout), V(closed), V(unreachable).
    - Of an answer, one of V(status), V(body).
    - Of a container, one of V(engine), V(absent), V(stopped), V(exited), V(restarted), V(starting), V(unhealthy).
    - Of PostgreSQL, one of V(starting), V(full), V(login), V(database), V(query), V(protocol).
    - In check mode also V(library), where the host has no Python library for this kind of target yet.
  type: str
  returned: always
log:
  description: The last 50 lines of a container that does not run or is unhealthy, or nothing.
  type: str
  returned: always
results:
  description: For each target, in the order given, C(target) (its name without any login), C(kind) and the same values
    as above.
  type: list
  elements: dict
  returned: always
  sample:
    - target: http://127.0.0.1:21010/health
      kind: url
      healthy: true
      attempts: 4
      elapsed: 3.02
      latency_ms: 2.1
      status: 200
      last_error: "http://127.0.0.1:21010/health: connection refused, expected a listener on 127.0.0.1:21010"
      error: refused
      log: ""
"""

from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils._health_report import message, results
from ansible_collections.quayside.web.plugins.module_utils._health_run import (
    certificates_problem,
    missing_library,
    probe_for,
    wait_for_all,
)
from ansible_collections.quayside.web.plugins.module_utils._health_targets import (
    HttpCheck,
    Target,
    parse_targets,
    secrets,
)

CHECKS: dict[str, dict[str, Any]] = {
    "url": {"type": "str"},
    "tcp": {"type": "str"},
    "container": {"type": "str"},
    "postgres": {"type": "str", "no_log": True},
    "status": {"type": "list", "elements": "int"},
    "expect": {"type": "dict"},
    "headers": {"type": "dict", "no_log": True},
    "host": {"type": "str"},
    "connect_to": {"type": "str"},
    "ca_path": {"type": "path"},
    "successes": {"type": "int"},
    "interval": {"type": "float"},
    "try_timeout": {"type": "float"},
}
OPTIONS: dict[str, dict[str, Any]] = {
    **CHECKS,
    "targets": {"type": "list", "elements": "dict", "options": CHECKS},
    "timeout": {"type": "float"},
}
DEFAULTS: dict[str, Any] = {
    "status": [200],
    "expect": {},
    "headers": {},
    "successes": 1,
    "interval": 1,
    "try_timeout": 5,
    "timeout": 60,
}


def host_problem(target: Target) -> str:
    """Return why this host cannot try a target at all; empty if it can."""
    if isinstance(target.check, HttpCheck) and target.check.ca_path:
        return missing_library(target) or certificates_problem(target.check.ca_path)
    return missing_library(target)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            key: {**spec, "default": DEFAULTS[key]} if key in DEFAULTS else spec for key, spec in OPTIONS.items()
        },
        supports_check_mode=True,
    )
    # Exactly what is secret: hidden as a whole, a header such as "https" would be hidden in every message too.
    module.no_log_values = secrets(module.params)
    try:
        targets = parse_targets(module.params)
    except ValueError as exc:
        module.fail_json(msg=str(exc))
    timeout = module.params["timeout"]
    if module.check_mode:
        timeout = max(target.try_timeout for target in targets)
        # The first try is the last.
        targets = tuple(replace(target, successes=1, interval=timeout) for target in targets)
    else:
        problems = [problem for problem in map(host_problem, targets) if problem]
        if problems:
            module.fail_json(msg="; ".join(problems))
    outcomes = wait_for_all(
        targets, [probe_for(target) for target in targets], timeout=timeout, give_up=not module.check_mode
    )
    result = {**results(targets, outcomes), "msg": message(outcomes)}
    if not result["healthy"] and not module.check_mode:
        module.fail_json(**result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
