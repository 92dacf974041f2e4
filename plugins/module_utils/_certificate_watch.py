# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The files by which a host looks at its own certificates every hour. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ._systemd import HARDENING

NAME = "quayside-certificates"
TIMER = f"{NAME}.timer"
UNITS = "/etc/systemd/system"
PROGRAM = "/usr/local/lib/quayside/served_certificate.py"
SETTINGS = f"/etc/{NAME}.json"

# It is root for the certificates' folder, and must be able to write into the exporter's.
_SERVICE = """\
# Installed by quayside.web.certificate_watch.
[Unit]
Description=Look whether the certificates that are served are the right ones

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I {program} {settings}
ReadWritePaths=-{metrics}
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
{hardening}"""

_TIMER = """\
# Installed by quayside.web.certificate_watch.
[Unit]
Description=Look every hour whether the certificates that are served are the right ones

[Timer]
OnCalendar=hourly
RandomizedDelaySec=600
Persistent=true

[Install]
WantedBy=timers.target
"""


def files(program: str, certificates: Sequence[Mapping[str, Any]], port: int, metrics: str) -> dict[str, str]:
    """Return the content of each file by its path; the units come last."""
    settings = {"certificates": list(certificates), "port": port, "metrics": metrics}
    hardening = HARDENING.replace("CapabilityBoundingSet=\n", "CapabilityBoundingSet=CAP_DAC_OVERRIDE\n")
    service = _SERVICE.format(
        program=PROGRAM, settings=SETTINGS, metrics=metrics or "/nonexistent", hardening=hardening
    )
    return {
        PROGRAM: program,
        SETTINGS: json.dumps(settings, indent=2, sort_keys=True) + "\n",
        f"{UNITS}/{NAME}.service": service,
        f"{UNITS}/{TIMER}": _TIMER,
    }


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, str]]:
    """Return what changes, file by file; the program itself by its length alone."""
    shown = {path: (f"({len(text.splitlines())} lines)\n" if path == PROGRAM else text) for path, text in after.items()}
    return [
        {"before_header": path, "after_header": path, "before": before.get(path, ""), "after": shown[path]}
        for path in after
        if before.get(path) != after[path]
    ]
