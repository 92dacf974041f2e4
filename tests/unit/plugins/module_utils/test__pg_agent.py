# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import ast
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _pg_agent
from ansible_collections.quayside.web.plugins.module_utils._pg_agent import (
    COMMAND,
    LIBRARY,
    Config,
    Found,
    desired_files,
    plan,
    program,
    show,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_config import PATH, Database
from ansible_collections.quayside.web.plugins.module_utils._pg_units import UNITS

SECRET = "s3ntinel"
TIMER = "quayside-backup@ledger.timer"
DRILL_TIMER = "quayside-backup-drill@ledger.timer"
TIMERS = (TIMER, DRILL_TIMER)
CONFIG = Config("/backups", (Database("ledger", f"postgresql://u:{SECRET}@h/d"),))
FILES = desired_files(CONFIG, {"_pg_cli.py": "print()\n"}, 300)
THERE = {file.path: (file.text, file.mode) for file in FILES}
FINE = Found(THERE, frozenset(TIMERS), 0o700)


def text(path: str) -> str:
    return THERE[path][0]


def test_a_bare_host_gets_everything() -> None:
    decided = plan(CONFIG, FILES, Found({}))
    assert decided.write == tuple(FILES)
    assert decided.start == TIMERS
    assert decided.make_root and decided.reload and decided.changed and not decided.stop


def test_nothing_to_do() -> None:
    decided = plan(CONFIG, FILES, FINE)
    assert not decided.changed and not decided.reload
    assert show(decided, FINE) == ("", "")


@pytest.mark.parametrize(
    ("path", "found", "restarted"),
    [
        (PATH, ("{}", 0o600), False),
        (PATH, (text(PATH), 0o644), False),
        (f"{UNITS}/{TIMER}", ("old", 0o644), True),
        (f"{LIBRARY}/_pg_cli.py", ("old", 0o644), False),
    ],
)
def test_one_difference(path: str, found: tuple[str, int], restarted: bool) -> None:
    decided = plan(CONFIG, FILES, Found({**THERE, path: found}, FINE.running_timers, 0o700))
    assert [file.path for file in decided.write] == [path]
    assert decided.start == ((TIMER,) if restarted else ())
    assert decided.reload is path.startswith(UNITS)


@pytest.mark.parametrize(
    ("found", "start", "make_root"),
    [
        (Found(THERE, frozenset(), 0o700), TIMERS, False),
        (Found(THERE, frozenset({TIMER}), 0o700), (DRILL_TIMER,), False),
        (Found(THERE, frozenset(TIMERS), 0o755), (), True),
    ],
)
def test_timer_not_running_or_root_open(found: Found, start: tuple[str, ...], make_root: bool) -> None:
    decided = plan(CONFIG, FILES, found)
    assert (decided.start, decided.make_root, decided.write) == (start, make_root, ())
    assert decided.changed


def test_what_is_no_longer_declared_goes() -> None:
    stale = {f"{UNITS}/quayside-backup@shop.timer": ("x", 0o644), f"{LIBRARY}/_old.py": ("x", 0o644)}
    decided = plan(CONFIG, FILES, Found({**THERE, **stale}, FINE.running_timers, 0o700))
    assert decided.remove == tuple(sorted(stale))
    assert decided.stop == ("quayside-backup@shop.timer",)
    assert decided.write == () and decided.reload and decided.changed


@pytest.mark.parametrize("before", [{}, {PATH: (text(PATH).replace("ledger", "shop"), 0o600)}, {PATH: ("junk", 0o600)}])
def test_a_diff_never_shows_a_password(before: dict[str, tuple[str, int]]) -> None:
    found = Found(before)
    assert SECRET not in "".join(show(plan(CONFIG, FILES, found), found))


def test_only_the_settings_are_secret() -> None:
    assert [path for path, (content, _mode) in THERE.items() if SECRET in content] == [PATH]
    assert THERE[PATH][1] == 0o600 and THERE[COMMAND][1] == 0o755


def test_a_metrics_folder_is_made_once() -> None:
    config = replace(CONFIG, metrics="/var/lib/metrics")
    files = desired_files(config, {"_pg_cli.py": "print()\n"}, 300)
    there = {file.path: (file.text, file.mode) for file in files}
    assert plan(config, files, Found(there, frozenset(TIMERS), 0o700)).make_metrics
    decided = plan(config, files, Found(there, frozenset(TIMERS), 0o700, has_metrics=True))
    assert not decided.make_metrics and not decided.changed


def test_the_program_is_all_that_its_entry_imports() -> None:
    files = {
        "_pg_cli.py": "from ._a import x\nimport json\n",
        "_a.py": "def late():\n    from . import _b, _pg_cli\n",
        "_b.py": "",
        "_c.py": "",
    }
    assert set(program(files.__getitem__)) == {"_pg_cli.py", "_a.py", "_b.py"}


def test_the_program_on_the_host_needs_only_the_standard_library_and_psycopg2() -> None:
    folder = Path(str(_pg_agent.__file__)).parent
    for source, text in program(lambda name: (folder / name).read_text()).items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.Import, ast.ImportFrom)) and not getattr(node, "level", 0):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
                known = {*sys.stdlib_module_names, "psycopg2"}
                outside = [name for name in names if name.partition(".")[0] not in known]
                assert not outside, f"{source} needs {outside}"
