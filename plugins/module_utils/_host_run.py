# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Commands of the host, as modules run them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

#: Runs a command and returns exit code, stdout and stderr.
Run = Callable[[list[str]], tuple[int, str, str]]

#: A login by `su` leaves the administrator's folders out of PATH.
PATH = os.pathsep.join([os.environ.get("PATH", "/usr/bin:/bin"), "/usr/sbin", "/sbin"])


def runner(module: Any) -> Run:
    """The module's own way to run a command, with messages that can be read by a program."""

    def run(argv: list[str]) -> tuple[int, str, str]:
        code, out, err = module.run_command(argv, environ_update={"LC_ALL": "C", "PATH": PATH})
        return code, out, err

    return run
