# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The versioned API."""

from __future__ import annotations

from fastapi import APIRouter

from ledger.api import accounts, jobs

router = APIRouter(prefix="/api/v1")
router.include_router(accounts.router)
router.include_router(jobs.router)
