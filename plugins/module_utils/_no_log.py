# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a module keeps out of its output."""

from __future__ import annotations

from typing import Any

#: Shorter ones protect nothing: who wants to can try them all.
SHORTEST_SECRET = 4


def let_short_values_show(module: Any) -> None:
    """Keep no value of fewer than four characters out of the output.

    Of a dictionary with `no_log` Ansible blots out every value wherever it occurs. With a `1` or a `no` among them no
    version, port or date in a message could be read any more.
    """
    module.no_log_values = {value for value in module.no_log_values if len(value) >= SHORTEST_SECRET}
