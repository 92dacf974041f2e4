"""divide"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.execute("ALTER TABLE accounts ADD COLUMN half int DEFAULT 1 / 0")


def downgrade():
    pass
