#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Make one release of an app the live one on this host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_release
short_description: Make a release of an app live without dropping a request
version_added: "0.1.0"
author: ["The quayside.web authors (@quayside)"]
description:
  - Starts the release in the idle one of two slots (blue and green), waits until it is healthy, moves the traffic by
    a flag file that nginx looks at for each request, verifies through the public site, drains the old slot by
    counting its connections, and stops it.
  - What is live is read from the flag and the running containers. The same image and settings again change nothing.
  - A failure before the traffic has moved leaves the old release untouched, one after it moves the traffic back.
  - The whole switch is one process on the host, so that it finishes or undoes itself when the controller is gone.
requirements:
  - docker (Python package, C(python3-docker) in Debian)
  - requests (Python package, C(python3-requests) in Debian)
attributes:
  check_mode: {support: full, description: Reports the plan and changes nothing.}
  diff_mode: {support: full, description: "Shows the settings of both releases, secrets by name only."}
options:
  name:
    description: The name of the app.
    type: str
    required: true
  app:
    description:
      - The app in normal form without its secrets, as P(quayside.web.app_public#filter) gives it.
      - Required unless O(release) is given.
    type: dict
  secrets:
    description: Secret environment variables, as P(quayside.web.app_secrets#filter) gives them.
    type: dict
    default: {}
  slot_port:
    description:
      - The first loopback port of the app's block, as M(quayside.web.app_ports) assigns it.
      - By default the one that is recorded on the host.
    type: int
  release:
    description:
      - Go back to a recorded release, with its image, settings and secrets, instead of O(app).
      - Either the id of one, or V(previous), the last that was live before the live one.
    type: str
  verify_port:
    description:
      - The port on loopback where nginx serves the app's first domain over HTTPS, asked after the traffic has moved.
      - V(0) where there is no nginx in front.
    type: int
    default: 443
  keep_releases:
    description: How many releases that have been live are kept beside the live one, with their images.
    type: int
    default: 3
  reason:
    description: Why this is done, for the record.
    type: str
    default: ""
  schema:
    description: The revision of the database's schema, for the record.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Make the ledger live
  quayside.web.app_release:
    name: ledger
    app: "{{ ledger | quayside.web.app_public }}"
    secrets: "{{ ledger | quayside.web.app_secrets }}"
    slot_port: 21000

- name: Go back to the release before
  quayside.web.app_release:
    name: ledger
    release: previous
"""

RETURN = r"""
release:
  description: The id of the release that is live, or would be.
  type: str
  returned: success
  sample: 20261121T030000Z-1f2e3d4c
previous:
  description: The id of the release that was live before; empty if none was.
  type: str
  returned: success
slot:
  description: The slot that is live.
  type: str
  returned: success
  sample: green
image_id:
  description: The id of the image that is live.
  type: str
  returned: success
steps:
  description: How many seconds each step took.
  type: dict
  returned: success
  sample: {start: 0.6, gate: 2.1, verify: 0.02, drain: 0.9, stop: 0.4}
pruned:
  description: The ids of the images that were removed.
  type: list
  elements: str
  returned: success
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _release
from ansible_collections.quayside.web.plugins.module_utils._release_host import (
    EXPECTED,
    AppHost,
    ReleaseError,
    open_host,
)
from ansible_collections.quayside.web.plugins.module_utils._release_switch import (
    Interrupted,
    Switch,
    prune,
    result_of,
    signals_raise,
)


def wanted_release(params: dict[str, Any], host: AppHost, live: str) -> tuple[_release.Stored, str | None]:
    """Return what is asked for, and the id of its record where it is an old release."""
    if not params["release"]:
        image = host.image_id(params["app"]["image"])
        return _release.Stored(params["app"], params["secrets"], image or ""), None
    release = params["release"]
    if release == "previous":
        found = _release.previous(host.manifests(), live)
        if found is None:
            raise ReleaseError(f'app "{host.name}": no release that was live before is recorded; deploy one instead.')
        release = found.release
    stored = host.stored(release)
    if stored is None:
        known = ", ".join(sorted(m.release for m in host.manifests())) or "none"
        raise ReleaseError(f'app "{host.name}": release "{release}" is not recorded; recorded are: {known}.')
    if host.image_id(stored.image_id) is None:
        raise ReleaseError(f'app "{host.name}": the image of release "{release}" is gone; deploy that version again.')
    return stored, release


def run(module: AnsibleModule, host: AppHost) -> dict[str, Any]:
    """Read, plan, and unless this is a check, apply."""
    params = module.params
    slot_port = params["slot_port"] or host.recorded_slot_port()
    found = host.containers()
    slot = host.live_slot()
    live = next((c.release for c in found if c.slot == slot and c.process == _release.WEB and c.running), "")
    stored, recorded = wanted_release(params, host, live)
    if not stored.image_id and not module.check_mode:
        raise ReleaseError(f'app "{host.name}": image {stored.app["image"]} is not on this host; get it first.')
    wanted = {s: _release.wanted_containers(stored.app, s, slot_port) for s in ("blue", "green")}
    mark = _release.fingerprint(stored.app, stored.image_id, stored.secrets, slot_port)
    stamp = time.gmtime()
    new = recorded or _release.release_id(time.strftime("%Y%m%dT%H%M%SZ", stamp), stored.image_id)
    manifests = {manifest.release: manifest for manifest in host.manifests()}
    marks = {release: manifest.fingerprint for release, manifest in manifests.items()}
    plan = _release.plan(slot, found, marks, wanted=wanted, wanted_fingerprint=mark, new_release=new)
    manifest = manifests.get(plan.release) or _release.Manifest(
        release=plan.release,
        app=host.name,
        image=stored.app["image"],
        image_id=stored.image_id,
        fingerprint=mark,
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", stamp),
        reason=params["reason"],
        schema=params["schema"],
    )
    switch = Switch(host, plan, stored, manifest, wanted[plan.slot], slot_port, params["verify_port"] or None)
    removed: list[str] = []
    # A run that was killed after its last change has not recorded that the release is live.
    changed = plan.changed or manifest.result != "live"
    if changed and not module.check_mode:
        switch.run()
        removed = prune(host, params["keep_releases"])
    before = host.stored(live) if live else None
    return {
        "changed": changed,
        "diff": _release.describe_diff(before, stored) if plan.changed else {},
        **result_of(switch, removed, live),
    }


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "app": {"type": "dict"},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "slot_port": {"type": "int"},
            "release": {"type": "str"},
            "verify_port": {"type": "int", "default": 443},
            "keep_releases": {"type": "int", "default": 3},
            "reason": {"type": "str", "default": ""},
            "schema": {"type": "str", "default": ""},
        },
        required_one_of=[("app", "release")],
        mutually_exclusive=[("app", "release")],
        supports_check_mode=True,
    )
    host = open_host(module.params["name"], module.warn)
    if host is None:
        if module.check_mode:
            module.exit_json(changed=True, msg="Docker is not on this host yet: the first release would start.")
        module.fail_json(msg="Docker does not answer on this host, or python3-docker is missing; run the docker role.")
        return
    try:
        if module.check_mode:
            module.exit_json(**run(module, host))
        with signals_raise(), host.lock():
            result = run(module, host)
        module.exit_json(**result)
    except EXPECTED as error:
        module.fail_json(msg=str(error))
    except Interrupted as signal:
        module.fail_json(
            msg=f"{signal} received: what was begun is undone, or left for the next run to finish; run again."
        )


if __name__ == "__main__":
    main()
