"""add email"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("ALTER TABLE accounts ADD COLUMN email text")


def downgrade():
    pass
