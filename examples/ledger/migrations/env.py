# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Alembic's entry: the database is DATABASE_URL's; libpq adds PGOPTIONS (`-c lock_timeout=5s`) by itself."""

from __future__ import annotations

from logging.config import fileConfig

from alembic import context
from sqlalchemy import NullPool, create_engine

from ledger import settings
from ledger.database import connect_args
from ledger.models import Base

if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)

url = settings.load().sqlalchemy_url

if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=connect_args(url))
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()
