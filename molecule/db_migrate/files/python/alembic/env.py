"""Alembic's environment: DATABASE_URL with whatever driver it names."""

import asyncio
import os

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

url = os.environ["DATABASE_URL"]


def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def run_async():
    async with create_async_engine(url).connect() as connection:
        await connection.run_sync(run)
        await connection.commit()


if "+asyncpg" in url:
    asyncio.run(run_async())
else:
    with create_engine(url.replace("postgresql://", "postgresql+psycopg://")).connect() as connection:
        run(connection)
