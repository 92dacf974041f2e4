"""another head"""

from alembic import op

revision = "0002b"
down_revision = "0001"


def upgrade():
    op.execute("SELECT 1")


def downgrade():
    pass
