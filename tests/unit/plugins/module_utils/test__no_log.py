# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a module keeps out of its output, and what it does not."""

from __future__ import annotations

from types import SimpleNamespace

from ansible_collections.quayside.web.plugins.module_utils._no_log import let_short_values_show


def test_only_what_can_be_a_secret_is_kept_out() -> None:
    module = SimpleNamespace(no_log_values={"1", "no", "443", "1234", "s3ntinel"})
    let_short_values_show(module)
    assert module.no_log_values == {"1234", "s3ntinel"}
