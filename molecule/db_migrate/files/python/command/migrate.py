"""A migration tool of one's own: `migrate.py check` ends with 0 when nothing is pending."""

import os
import sys

import psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    if sys.argv[1:] == ["check"]:
        sys.exit(connection.execute("SELECT to_regclass('tools') IS NULL").fetchone()[0])
    connection.execute("CREATE TABLE tools (id int)")
    print("created tools")
