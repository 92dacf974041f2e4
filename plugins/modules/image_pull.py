#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Pull an image if the registry has another one than the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pull
short_description: Pull a container image when the registry's differs from the host's
version_added: "0.1.0"
author: ["The quayside.web authors (@quayside)"]
description:
  - Asks the registry for the digest behind a tag first, so that a run with nothing to do transfers nothing, and check
    mode tells the truth. The image is then pulled by that digest.
  - An image that does not exist, or not for this host's architecture, fails before anything is transferred.
  - Where the registry does not answer but the host has the image under this reference, it warns and goes on.
  - Logins are those of C(docker login) on the host.
requirements:
  - docker (Python package, C(python3-docker) in Debian)
seealso:
  - module: community.docker.docker_image_pull
attributes:
  check_mode: {support: full, description: Asks the registry and pulls nothing.}
  diff_mode: {support: full, description: Shows the digests before and after.}
options:
  name:
    description: The image's reference, with a tag or a digest.
    type: str
    required: true
  wait:
    description:
      - Whether to wait until the image is there. With V(false) the pull goes on after the module has ended, while the
        play does other things; a later call joins it, and tells whether it worked.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Pull the ledger
  quayside.web.image_pull:
    name: registry.example.com/ledger:1.4.2
"""

RETURN = r"""
id:
  description: The id of the image on the host; empty if it is not there yet.
  type: str
  returned: success
digest:
  description: The digest that the reference stands for.
  type: str
  returned: success
  sample: sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1
"""

import traceback
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.quayside.web.plugins.module_utils._docker_run import begin_pull

try:
    import docker
    import docker.errors
    import requests

    DOCKER_TRACEBACK = None
except ImportError:
    DOCKER_TRACEBACK = traceback.format_exc()


class PullError(Exception):
    """An image cannot be had; the text says which and why."""


def local_image(api: Any, name: str) -> tuple[str, set[str]]:
    """Return the id of the image on the host, and the registry's digests it is known by."""
    try:
        image = api.inspect_image(name)
    except docker.errors.ImageNotFound:
        return "", set()
    return image["Id"], {digest.rpartition("@")[2] for digest in image["RepoDigests"] or []}


def remote_digest(api: Any, name: str) -> str:
    """Return the digest behind a reference, from its registry.

    Raises:
        PullError: the registry has no such image, refuses, or has none for this architecture.
    """
    try:
        answer = api.inspect_distribution(name)
    except docker.errors.NotFound as error:
        raise PullError(
            f'image "{name}": the registry has none by that name and tag ({error.explanation}); '
            'push it, or correct "image".'
        ) from error
    except docker.errors.APIError as error:
        if error.status_code in {401, 403}:
            raise PullError(
                f'image "{name}": the registry refuses access ({error.explanation}); run "docker login" for it on this '
                'host, or correct "image".'
            ) from error
        raise
    host = api.version()
    wanted = (host["Os"], host["Arch"])
    offered = {(platform.get("os"), platform.get("architecture")) for platform in answer.get("Platforms") or []}
    if offered and wanted not in offered:
        names = ", ".join(sorted("/".join(map(str, item)) for item in offered))
        raise PullError(f'image "{name}": the registry has it for {names}; this host needs {"/".join(wanted)}.')
    return str(answer["Descriptor"]["digest"])


def split(name: str) -> tuple[str, str]:
    """Return repository and tag of a reference."""
    head, slash, tail = name.partition("@")[0].rpartition("/")
    return head + slash + tail.partition(":")[0], tail.partition(":")[2]


def pull(api: Any, name: str, digest: str) -> None:
    """Pull by digest, and give the image the name it was asked for by."""
    repository, tag = split(name)
    for step in api.pull(repository, tag=digest, stream=True, decode=True):
        if "error" in step:
            raise PullError(f'image "{name}": the pull failed: {step["error"]}')
    if tag:
        api.tag(f"{repository}@{digest}", repository, tag)


def run(module: AnsibleModule, api: Any) -> dict[str, Any]:
    """Read, plan, and unless this is a check, apply."""
    name = module.params["name"]
    image_id, known = local_image(api, name)
    pinned = name.partition("@")[2]
    try:
        digest = pinned if image_id and pinned else remote_digest(api, name)
    except (docker.errors.APIError, requests.RequestException) as error:
        if not image_id:
            raise PullError(f'image "{name}": the registry does not answer: {error}') from error
        module.warn(f'image "{name}": the registry does not answer ({error}); going on with the image on this host')
        digest = next(iter(known), "")
    changed = bool(digest) and digest not in known
    if changed and not module.check_mode and not module.params["wait"]:
        begin_pull(f"{split(name)[0]}@{digest}")
    elif changed and not module.check_mode:
        pull(api, name, digest)
        image_id = local_image(api, name)[0]
    diff = {"before": f"{next(iter(known), 'none')}\n", "after": f"{digest}\n"} if changed else {}
    return {"changed": changed, "id": image_id, "digest": digest, "diff": diff}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "required": True}, "wait": {"type": "bool", "default": True}},
        supports_check_mode=True,
    )
    if DOCKER_TRACEBACK and not module.check_mode:
        module.fail_json(msg=missing_required_lib("docker"), exception=DOCKER_TRACEBACK)
    try:
        if DOCKER_TRACEBACK:
            raise PullError("python3-docker is not on this host yet")
        api = docker.from_env(version="auto").api
    except Exception as error:
        if not module.check_mode:
            module.fail_json(msg=f"Docker does not answer on this host ({error}); run the docker role.")
        module.exit_json(
            changed=True, id="", digest="", msg="Docker is not on this host yet: the image would be pulled."
        )
    try:
        module.exit_json(**run(module, api))
    except PullError as error:
        module.fail_json(msg=str(error))
    except (docker.errors.DockerException, requests.RequestException) as error:
        module.fail_json(msg=f'image "{module.params["name"]}": {error}')


if __name__ == "__main__":
    main()
