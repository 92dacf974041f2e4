# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Does what ansible-playbook does at its start: without it no plugin has a qualified name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

# A collection that was imported as plain Python before, by other tests in this process, would have no metadata.
for name in [name for name in sys.modules if name.split(".")[0] == "ansible_collections"]:
    del sys.modules[name]
init_plugin_loader([str(Path(__file__).resolve().parents[2] / "collections")])

# Only now, since it imports from the collection.
rendered = importlib.import_module("rendered")


@pytest.fixture(scope="module")
def variables() -> dict[str, Any]:
    files = (rendered.ROLE / "defaults" / "main.yml", rendered.ROLE / "vars" / "main.yml")
    merged = {key: value for file in files for key, value in yaml.safe_load(file.read_text()).items()}
    search = [str(rendered.ROLE / "templates"), str(rendered.ROLE)]
    return dict(rendered.trusted(merged)) | {"ansible_search_path": search, "role_path": str(rendered.ROLE)}


@pytest.fixture
def render(variables: dict[str, Any]) -> Any:
    """The files of base and sites as the role hands them to nginx_config."""

    def files(*sites: Any, **overrides: Any) -> dict[str, str]:
        loader = DataLoader()
        loader.set_basedir(str(rendered.ROLE))
        templar = Templar(loader=loader, variables=variables | {"nginx_sites": list(sites)} | overrides)
        base = templar.template(trust_as_template("{{ __nginx_base_files }}"))
        tasks = yaml.safe_load((rendered.ROLE / "tasks" / "sites.yml").read_text())
        task = next(task["quayside.web.nginx_config"] for task in tasks if "quayside.web.nginx_config" in task)
        return {**base, **templar.template(trust_as_template(task["files"]))}

    return files


@pytest.fixture
def fault(variables: dict[str, Any]) -> Callable[..., str | None]:
    """What the role's check of the sites says, if it refuses them."""

    def message(*sites: Any) -> str | None:
        templar = Templar(loader=DataLoader(), variables=variables | {"nginx_sites": list(sites)})
        for task in yaml.safe_load((rendered.ROLE / "tasks" / "sites.yml").read_text()):
            check = task.get("ansible.builtin.assert", {"that": []})
            conditions = check["that"] if isinstance(check["that"], list) else [check["that"]]
            if not all(templar.evaluate_conditional(trust_as_template(condition)) for condition in conditions):
                return str(templar.template(trust_as_template(check["fail_msg"])))
        return None

    return message
