# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What the repository as a whole promises: thin wrappers, small documented modules, AWX's file names, no leaks."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
THIS = Path(__file__).resolve()
MODULES = sorted((ROOT / "plugins/modules").glob("*.py"))
WRAPPERS = sorted(path for path in ROOT.glob("*.yml") if path.name not in {"galaxy.yml", "requirements.yml"})
#: Of code. Documentation may be as long as it needs to be.
MAX_MODULE_LINES = 160
DOCUMENTATION = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
GPL = "GNU General Public License v3.0+"

#: A checkout must build anywhere: behind mirrors, and on nobody's machine in particular.
LEAKS = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org|security\.debian\.org|crates\.io|"
    r"proxy\.golang\.org|(?<![\w.~-])/work/(?!\*)|\.pyenv\b"
)
#: ruff and mypy report a needless coded exception; nothing watches over the other kinds.
SILENCERS = re.compile(
    r"#\s*noqa(?!: [A-Z]+\d)|#\s*type:\s*ignore(?!\[)|#\s*(?:pylint|mypy): |#\s*(?:yamllint|shellcheck) disable|"
    r"^\s*(?:skip_list|warn_list):"
)
YAML_SILENCER = re.compile(r"#\s*noqa")


@lru_cache(maxsize=1)
def files() -> tuple[Path, ...]:
    """What the repository (or the built artifact, which has no git) consists of."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        found = [ROOT / name for name in listed.split("\0") if name]
    else:
        found = list(walk())
    return tuple(path for path in found if path.is_file() and not path.is_symlink() and path != THIS)


def walk() -> Iterator[Path]:
    for folder, names, leaves in os.walk(ROOT):
        names[:] = [name for name in names if not name.startswith(".") and name not in {"collections", "output"}]
        yield from (Path(folder) / leaf for leaf in leaves)


def lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except UnicodeDecodeError:
        return []


def refuse(pattern: re.Pattern[str], chosen: tuple[Path, ...]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in chosen
        for number, line in enumerate(lines(path), 1)
        if pattern.search(line)
    ]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def assigned(path: Path) -> set[str]:
    return {
        target.id
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=lambda path: str(path.name))
def test_root_playbooks_are_one_import(wrapper: Path) -> None:
    content = yaml.safe_load(wrapper.read_text())
    assert [set(play) - {"name"} for play in content] == [{"ansible.builtin.import_playbook"}]
    assert content[0]["ansible.builtin.import_playbook"] in {
        f"playbooks/{wrapper.name}",
        f"quayside.web.{wrapper.stem}",
    }
    assert (ROOT / "playbooks" / wrapper.name).exists()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.stem))
class TestModules:
    def test_is_small(self, module: Path) -> None:
        documentation = sum(
            (node.end_lineno or node.lineno) - node.lineno + 1
            for node in ast.parse(module.read_text()).body
            if isinstance(node, ast.Assign)
            and any(getattr(target, "id", "") in DOCUMENTATION for target in node.targets)
        )
        assert len(lines(module)) - documentation <= MAX_MODULE_LINES

    def test_is_documented(self, module: Path) -> None:
        assert assigned(module) >= DOCUMENTATION

    def test_is_in_the_changelog(self, module: Path) -> None:
        noted = "".join(
            path.read_text() for path in [*ROOT.glob("changelogs/fragments/*.yml"), *ROOT.glob("changelogs/*.yaml")]
        )
        named = module.stem in re.findall(r"\w+", noted)
        assert named, f"no fragment in changelogs/fragments/ names {module.stem}"


def test_plugins_carry_the_licence() -> None:
    bare = [str(path.relative_to(ROOT)) for path in ROOT.glob("plugins/**/*.py") if GPL not in path.read_text()[:600]]
    assert not bare


def test_cores_do_no_ansible() -> None:
    """module_utils/_*.py decide; only modules speak Ansible."""
    talkers = [
        str(path.relative_to(ROOT))
        for path in ROOT.glob("plugins/module_utils/_*.py")
        if "AnsibleModule" in path.read_text()
    ]
    assert not talkers


def test_inventories_are_named_as_awx_lists_them() -> None:
    for environment in sorted(path for path in (ROOT / "inventories").iterdir() if path.is_dir()):
        hosts = environment / "hosts"
        assert hosts.is_file(), f"{environment.name}: no file named hosts"
        assert isinstance(yaml.safe_load(hosts.read_text()), dict), f"{hosts} is not YAML"
        others = {path.name for path in environment.iterdir()} - {"hosts", "group_vars", "host_vars", ".gitignore"}
        assert not others, f"{environment.name}: Ansible would read {others} as inventory too"


def test_nothing_names_a_registry_or_a_machine() -> None:
    refuse(LEAKS, files())


def test_no_gate_is_silenced() -> None:
    chosen = tuple(path for path in files() if path.suffix in {".yml", ".yaml", ".py", ".sh", ".toml", ""})
    refuse(SILENCERS, chosen)
    refuse(YAML_SILENCER, tuple(path for path in chosen if path.suffix in {".yml", ".yaml"}))
    assert not list(ROOT.glob("tests/sanity/ignore-*.txt"))
