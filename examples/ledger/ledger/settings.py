# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Everything the app can be told, read once from the environment."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ledger.faults import Fault

Seconds = Annotated[float, Field(ge=0, le=3600)]


class Settings(BaseSettings):
    # A rejected DATABASE_URL holds a password: never repeat the input in an error.
    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: SecretStr
    app_env: str = "development"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    quayside_release: str = "dev"
    ledger_version: str = "0.0.0"
    ledger_fault: str = ""

    host: str = "0.0.0.0"
    port: int = Field(8000, ge=1, le=65535)
    # Above the idle timeout of the proxy's upstream connections (nginx: keepalive_timeout 60s), so that the proxy is
    # always the one that closes: the other way round, a POST on a pooled connection now and then meets a closed one.
    keep_alive_seconds: int = Field(65, ge=1)
    # Below the time the container gets to stop, so that requests end by our hand and not by SIGKILL.
    graceful_seconds: int = Field(25, ge=1)
    forwarded_allow_ips: str = "127.0.0.1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"

    db_pool_size: int = Field(5, ge=1, le=100)
    db_max_overflow: int = Field(0, ge=0, le=100)

    worker_poll_seconds: Seconds = 0.5
    job_timeout_seconds: Seconds = 60
    job_retry_seconds: Seconds = 2
    job_max_attempts: int = Field(3, ge=1, le=20)

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: str) -> str:
        return value.upper()

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr) -> SecretStr:
        try:
            url = make_url(value.get_secret_value())
        # The port is parsed by int(), whose error would repeat part of the URL.
        except (ArgumentError, ValueError):
            raise ValueError("is not a URL; expected postgresql://user:password@host:5432/name") from None
        if url.get_backend_name() not in {"postgresql", "postgres"} or not url.database:
            raise ValueError("must name a PostgreSQL database: postgresql://user:password@host:5432/name")
        return value

    @field_validator("ledger_fault")
    @classmethod
    def _is_fault(cls, value: str) -> str:
        Fault.parse(value)
        return value

    @property
    def sqlalchemy_url(self) -> URL:
        return make_url(self.database_url.get_secret_value()).set(drivername="postgresql+psycopg")

    @cached_property
    def fault(self) -> Fault:
        return Fault.parse(self.ledger_fault)


def load() -> Settings:
    """The settings, or one line on each wrong variable and exit code 2."""
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in problem["loc"]).upper()
            print(f"ledger: {name}: {problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        raise SystemExit(2) from None
