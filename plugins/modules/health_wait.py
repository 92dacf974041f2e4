#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

DOCUMENTATION = r"""
module: health_wait
short_description: Wait until a service is healthy, and say why not
version_added: "0.1.0"
author: ["The quayside.web authors (@quayside)"]
description:
  - Tries an URL or a TCP port from the host that the task runs on, until it passed as many times in a row as asked.
  - When time is over, the message names the target, what was found last and what was expected. It tells a name that
    does not resolve, a refused connection, a TLS failure, a timeout, a wrong status and a wrong body apart.
requirements: ["requests"]
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
    description: Request headers.
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
    description: Seconds in all.
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

- name: Wait for PostgreSQL's port
  quayside.web.health_wait:
    tcp: db.internal:5432
    timeout: 20
"""

RETURN = r"""
healthy:
  description: Whether it passed.
  type: bool
  returned: always
attempts:
  description: Number of tries.
  type: int
  returned: always
elapsed:
  description: Seconds in all.
  type: float
  returned: always
latency_ms:
  description: Milliseconds that the last try took.
  type: float
  returned: always
status:
  description: The last HTTP status, if there was one.
  type: int
  returned: always
last_error:
  description: What the last failed try said, or nothing.
  type: str
  returned: always
error:
  description: The kind of the last failure, one of V(dns), V(refused), V(tls), V(timeout), V(closed), V(unreachable),
    V(status), V(body), or nothing.
  type: str
  returned: always
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.quayside.web.plugins.module_utils._health import (
    Attempt,
    Expectation,
    judge,
    parse_address,
    parse_status,
    parse_url,
    wait,
)
from ansible_collections.quayside.web.plugins.module_utils._http_probe import (
    REQUESTS_ERROR,
    new_session,
    probe_http,
    probe_tcp,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str"},
            "tcp": {"type": "str"},
            "status": {"type": "list", "elements": "int", "default": [200]},
            "expect": {"type": "dict", "default": {}},
            "headers": {"type": "dict", "default": {}},
            "host": {"type": "str"},
            "connect_to": {"type": "str"},
            "ca_path": {"type": "path"},
            "successes": {"type": "int", "default": 1},
            "interval": {"type": "float", "default": 1},
            "timeout": {"type": "float", "default": 60},
            "try_timeout": {"type": "float", "default": 5},
        },
        mutually_exclusive=[("url", "tcp")],
        required_one_of=[("url", "tcp")],
        supports_check_mode=True,
    )
    params = module.params
    if params["url"] and REQUESTS_ERROR and not module.check_mode:
        module.fail_json(msg=missing_required_lib("requests"), exception=REQUESTS_ERROR)
    try:
        if params["successes"] < 1 or params["interval"] < 0 or params["timeout"] < 0 or params["try_timeout"] <= 0:
            raise ValueError("successes and try_timeout must be above zero, interval and timeout not below it.")
        expectation = Expectation(status=parse_status(params["status"]), json=params["expect"])
        connect_to = parse_address(params["connect_to"]) if params["connect_to"] else None
        address = parse_address(params["tcp"]) if params["tcp"] else ("", 0)
        url = parse_url(params["url"]) if params["url"] else ""
    except ValueError as exc:
        module.fail_json(msg=str(exc))
    ca_path = params["ca_path"]
    if ca_path and not Path(ca_path).exists() and not module.check_mode:
        module.fail_json(msg=f"ca_path is {ca_path}, which is not on this host, expected a file with certificates.")

    def probe(seconds: float) -> Attempt:
        if not url:
            return probe_tcp(*address, timeout=seconds)
        if REQUESTS_ERROR:
            return Attempt(ok=False, target=url, error="unreachable", message="requests is not installed yet")
        answer = probe_http(
            url,
            session=session,
            host_header=params["host"],
            headers={name: str(value) for name, value in params["headers"].items()},
            ca_path=ca_path,
            timeout=seconds,
            connect_to=connect_to,
        )
        return judge(answer, expectation)

    session = None if REQUESTS_ERROR else new_session()
    outcome = wait(
        probe,
        successes=1 if module.check_mode else params["successes"],
        # In check mode the first try is the last.
        interval=params["try_timeout"] if module.check_mode else params["interval"],
        timeout=params["try_timeout"] if module.check_mode else params["timeout"],
        try_timeout=params["try_timeout"],
        clock=time.monotonic,
        sleep=time.sleep,
    )
    result = {
        "healthy": outcome.ok,
        "attempts": outcome.attempts,
        "elapsed": round(outcome.elapsed, 2),
        "latency_ms": outcome.last.latency_ms,
        "status": outcome.last.status,
        "last_error": outcome.last_failure.message if outcome.last_failure else "",
        "error": outcome.last_failure.error if outcome.last_failure else "",
    }
    if not outcome.ok and not module.check_mode:
        module.fail_json(msg=outcome.message, **result)
    module.exit_json(changed=False, msg=outcome.message, **result)


if __name__ == "__main__":
    main()
