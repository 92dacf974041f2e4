# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The pinned key of Docker's repository is the one that Docker's documentation names."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

KEY = Path(__file__).parents[3] / "roles" / "docker" / "files" / "docker.asc"
FINGERPRINT = "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"


def test_the_fingerprint_is_dockers() -> None:
    armoured = KEY.read_text(encoding="ascii").split("\n\n", 1)[1].split("\n=", 1)[0]
    packets = base64.b64decode(armoured)
    # RFC 4880: an old-format public-key packet with a two-octet length, version 4, hashed with 0x99 before its length.
    assert packets[0] == 0x99
    length = int.from_bytes(packets[1:3], "big")
    assert packets[3] == 4
    assert hashlib.sha1(packets[: 3 + length]).hexdigest().upper() == FINGERPRINT
