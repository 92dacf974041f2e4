#!/usr/bin/env python3
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Push the versions of the demo app that the scenario deploys: push_versions.py REGISTRY."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from testbed.faults.images import migration, push_base, push_variant

FOURTH = migration("0004", "0003", "SELECT pg_sleep(0.2); CREATE TABLE extra (id int)")
BROKEN = migration("0005", "0004", "ALTER TABLE no_such_table ADD COLUMN x int")
BLOCKED = migration("0005", "0004", "ALTER TABLE entries ADD COLUMN blocked int")
#: It says that it is another release than the one that is deployed.
IMPOSTOR = 'CMD ["sh", "-c", "QUAYSIDE_RELEASE=another exec python -m ledger"]'
BIG_LAYER = "RUN head -c 120000000 /dev/urandom > /tmp/big"


def main(registry: str) -> None:
    push_base(registry)
    # 1.1.0 needs a newer schema, the others are variants of it: 1.x are good ones.
    push_variant(registry, "1.1.0", files=FOURTH)
    push_variant(registry, "1.2.0", files=FOURTH)
    push_variant(registry, "1.3.0", files=FOURTH, instructions=BIG_LAYER)
    push_variant(registry, "2.0.0-broken-migration", files={**FOURTH, **BROKEN})
    push_variant(registry, "2.0.0-blocked-migration", files={**FOURTH, **BLOCKED})
    push_variant(registry, "2.0.0-impostor", files=FOURTH, instructions=IMPOSTOR)


if __name__ == "__main__":
    main(sys.argv[1])
