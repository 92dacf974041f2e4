# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""entry reference"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nullable and without a default: the release before this one goes on inserting entries while both run.
    op.add_column("entries", sa.Column("reference", sa.String(64), nullable=True))
    op.create_unique_constraint(op.f("uq_entries_account_id_reference"), "entries", ["account_id", "reference"])


def downgrade() -> None:
    op.drop_constraint(op.f("uq_entries_account_id_reference"), "entries")
    op.drop_column("entries", "reference")
