# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Versions of the demo app that differ in a few files, good ones and bad ones, built from a pushed version."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_MIGRATION = '''"""{what}"""

from alembic import op

revision = "{revision}"
down_revision = "{after}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""{sql}""")


def downgrade() -> None:
    pass
'''


def migration(revision: str, after: str, sql: str) -> dict[str, str]:
    """Return the file of one more Alembic migration."""
    text = _MIGRATION.format(what=f"for tests: {revision}", revision=revision, after=after, sql=sql)
    return {f"migrations/versions/{revision}_test.py": text}


def push_base(registry: str, version: str = "1.0.0") -> None:
    """Build and push the demo app as it is."""
    subprocess.run([ROOT / "testbed/push-ledger.sh", registry, version], check=True, stdout=subprocess.DEVNULL)


def push_variant(
    registry: str,
    version: str,
    *,
    base: str = "1.0.0",
    files: Mapping[str, str] | None = None,
    instructions: str = "",
) -> None:
    """Build and push a version that differs in files and, as wanted, in lines of its Dockerfile."""
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        for name, text in {"ledger/build.txt": version, **(files or {})}.items():
            path = context / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        dockerfile = f"FROM {registry}/ledger:{base}\nENV LEDGER_VERSION={version}\nCOPY files/ /app/\n{instructions}\n"
        (context / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        # COPY keeps the modes, and the app runs as another user.
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        tag = f"{registry}/ledger:{version}"
        subprocess.run(["docker", "build", "-q", "-t", tag, folder], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["docker", "push", "-q", tag], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["docker", "rmi", tag], check=True, stdout=subprocess.DEVNULL)
