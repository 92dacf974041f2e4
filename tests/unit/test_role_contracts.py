# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What every role promises: its spec, its defaults and its README say the same, and its names stay its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").glob("*") if (path / "tasks").is_dir())
MAX_TABLE_OF_CONTENTS = 40

every_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: str(role.name))


class _Loader(yaml.SafeLoader):
    """YAML as Ansible reads it: vault and unsafe tags are plain values here."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: loader.construct_scalar(node))


def load(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=_Loader) if path.exists() else None


def specs(role: Path) -> dict[str, Any]:
    content = load(role / "meta/argument_specs.yml")
    assert content, f"{role.name}: no meta/argument_specs.yml"
    found: dict[str, Any] = content["argument_specs"]
    return found


def options(role: Path) -> dict[str, Any]:
    """The options of all the role's entry points."""
    return {name: option for spec in specs(role).values() for name, option in spec.get("options", {}).items()}


def nested(found: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, option in found.items():
        yield path + name, option
        yield from nested(option.get("options", {}), f"{path}{name}.")


def tasks(content: Any) -> Iterator[dict[str, Any]]:
    for task in content or []:
        yield task
        for part in ("block", "rescue", "always"):
            yield from tasks(task.get(part))


def readme_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("role_readme", ROOT / "tools/role_readme.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_roles() -> None:
    assert ROLES
    strays = [path.name for path in (ROOT / "roles").iterdir() if path.is_dir() and path not in ROLES]
    assert not strays, f"folders in roles/ without tasks/: {strays}"


@every_role
def test_spec_and_defaults_agree(role: Path) -> None:
    spec = options(role)
    defaults = load(role / "defaults/main.yml") or {}
    documented = {name: option["default"] for name, option in spec.items() if "default" in option}
    # The spec's schema evaluates a default, which an expression that yields dictionaries doesn't survive: it stands
    # in defaults/main.yml alone, and the README shows it from there.
    computed = {name for name, value in defaults.items() if str(value).startswith("{{") and name not in documented}
    documented |= {name: defaults[name] for name in computed & set(spec)}
    assert sorted(defaults) == sorted(documented), "defaults/main.yml and the spec's options with a default differ"
    # Dumped, because True == 1 in Python and not in YAML.
    different = [name for name in defaults if yaml.safe_dump(defaults[name]) != yaml.safe_dump(documented[name])]
    assert not different, {name: (defaults[name], documented[name]) for name in different}
    both = [name for name, option in spec.items() if option.get("required") and "default" in option]
    assert not both, f"required, and with a default: {both}"


@every_role
def test_every_option_has_a_type_and_a_description(role: Path) -> None:
    for name, spec in specs(role).items():
        assert spec.get("short_description"), f"entry point {name} has no short_description"
        bare = [path for path, option in nested(spec.get("options", {})) if not {"type", "description"} <= set(option)]
        assert not bare, f"options without type or description: {bare}"


@every_role
def test_readme_is_current(role: Path) -> None:
    readme = role / "README.md"
    assert readme.exists(), "run tools/role_readme.py"
    assert readme.read_text() == readme_tool().render(role), "run tools/role_readme.py"


@every_role
def test_public_names_carry_the_role(role: Path) -> None:
    foreign = [name for name in options(role) if not name.startswith(f"{role.name}_")]
    assert not foreign, f"options that do not start with {role.name}_: {foreign}"


@every_role
def test_internal_names_are_marked(role: Path) -> None:
    names: set[str] = set()
    for path in sorted(role.glob("vars/*.yml")):
        names |= set(load(path) or {})
    for path in sorted([*role.glob("tasks/**/*.yml"), *role.glob("handlers/*.yml")]):
        for task in tasks(load(path)):
            names |= {task["register"]} if "register" in task else set()
            names |= set(task.get("ansible.builtin.set_fact", {})) - {"cacheable"}
            names |= set(task.get("vars", {}))
    # A role may hand another role, or itself included again, its public variables.
    loose = [
        name for name in names if not name.startswith((f"__{role.name}_", "ansible_")) and name not in options(role)
    ]
    assert not loose, f"internal names that do not start with __{role.name}_: {sorted(loose)}"


@every_role
def test_main_is_a_table_of_contents(role: Path) -> None:
    lines = (role / "tasks/main.yml").read_text().splitlines()
    assert len(lines) <= MAX_TABLE_OF_CONTENTS, f"tasks/main.yml has {len(lines)} lines"


@every_role
def test_metadata(role: Path) -> None:
    meta = load(role / "meta/main.yml")
    assert meta["dependencies"] == []
    info = meta["galaxy_info"]
    assert info["license"] == "GPL-3.0-or-later"
    assert info["min_ansible_version"] == "2.17"
    assert info["author"] and info["description"] and info["platforms"]
