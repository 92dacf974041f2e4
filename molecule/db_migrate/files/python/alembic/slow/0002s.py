"""take long"""

import os

from alembic import op

revision = "0002s"
down_revision = "0001"


def upgrade():
    op.execute("LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE")
    op.execute(f"SELECT pg_sleep({float(os.environ['SLEEP'])})")


def downgrade():
    pass
