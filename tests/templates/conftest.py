# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Does what ansible-playbook does at its start: without it no plugin has a qualified name."""

from __future__ import annotations

import sys
from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

# A collection that was imported as plain Python before, by other tests in this process, would have no metadata.
for name in [name for name in sys.modules if name.split(".")[0] == "ansible_collections"]:
    del sys.modules[name]
init_plugin_loader([str(Path(__file__).resolve().parents[2] / "collections")])
