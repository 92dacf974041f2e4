# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Tools on the host itself, as real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils._docker_run import RunTimeout
from ansible_collections.quayside.web.plugins.module_utils._migrate_exec import Host
from ansible_collections.quayside.web.plugins.module_utils._migration import MigrationError

pytestmark = pytest.mark.skipif(not Path("/usr/bin/setpriv").exists(), reason="needs util-linux")


def test_a_tool_gets_its_environment_and_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1")
    script = 'echo "$PWD $TOKEN ${OURS-none}"; echo no >&2; exit 3'
    found = Host(str(tmp_path), None).run(["sh", "-c", script], {"TOKEN": "t"}, 10)
    assert found == (3, f"{tmp_path} t none\n", "no\n")


def test_a_tool_that_takes_too_long_ends_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(RunTimeout, match=r"was killed after 0\.3 s") as caught:
        Host(str(tmp_path), None).run(["sh", "-c", "sleep 60 & echo $!; wait"], {}, 0.3)
    wait_for(lambda: gone(int(caught.value.stdout)))


KILLED = """
import sys
sys.path[:0] = {path!r}
from ansible_collections.quayside.web.plugins.module_utils._migrate_exec import Host
Host({folder!r}, None).run(["sh", "-c", "sleep 60 & echo $! > child; wait"], {{}}, 60)
"""


def test_a_tool_ends_when_we_are_killed(tmp_path: Path) -> None:
    program = KILLED.format(path=sys.path, folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        child = tmp_path / "child"
        wait_for(lambda: child.exists() and child.read_text().strip() != "")
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: gone(int(child.read_text())))


@pytest.mark.parametrize(
    ("host", "command", "message"),
    [
        (Host("/", None), ["no-such-tool"], None),
        (Host("/no/such/folder", None), ["true"], "`true` cannot be run in /no/such/folder on this host"),
        (Host("/", "nobody-by-that-name"), ["true"], "user is 'nobody-by-that-name', which this host does not have"),
    ],
)
def test_what_cannot_be_run_is_named(host: Host, command: list[str], message: str | None) -> None:
    if message is None:
        code, _stdout, stderr = host.run(command, {}, 10)
        assert code == 127
        assert "no-such-tool" in stderr
        return
    with pytest.raises(MigrationError) as caught:
        host.run(command, {}, 10)
    assert str(caught.value).startswith(message)


def test_folders_are_read_with_what_is_below(tmp_path: Path) -> None:
    (tmp_path / "m/a").mkdir(parents=True)
    (tmp_path / "m/a/migration.sql").write_bytes(b"x")
    (tmp_path / "m/lock").write_bytes(b"y")
    host = Host(str(tmp_path), None)
    assert host.read("m", "m/lock") == [{"a/migration.sql": b"x", "lock": b"y"}, {"": b"y"}]
    with pytest.raises(FileNotFoundError):
        host.read("n")


def gone(pid: int) -> bool:
    try:
        # A zombie until its new parent looks.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
