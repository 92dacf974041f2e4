# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""PostgreSQL URLs: parsed once, handed to libpq tools without a secret on any command line.

Only the standard library, because the pg_backup role installs this file on the host as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

SCHEMES = ("postgresql", "postgres")
DRIVERS = ("psycopg", "psycopg2", "asyncpg")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
DEFAULT_PORT = 5432

#: URL options that libpq knows, and the environment variable of each; others (an ORM's own) are ignored.
LIBPQ_OPTIONS = {
    "application_name": "PGAPPNAME",
    "channel_binding": "PGCHANNELBINDING",
    "client_encoding": "PGCLIENTENCODING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "gssencmode": "PGGSSENCMODE",
    "hostaddr": "PGHOSTADDR",
    "options": "PGOPTIONS",
    "sslcert": "PGSSLCERT",
    "sslcrl": "PGSSLCRL",
    "sslkey": "PGSSLKEY",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}

#: Startup options that keep a database from redefining what the names in our queries mean.
PINNED = "-c search_path=pg_catalog"

_FORM = "postgresql://user:password@host:5432/database"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class DatabaseUrlError(ValueError):
    """One sentence that says what is wrong, and never holds the URL or its password."""


@dataclass(frozen=True)
class DatabaseUrl:
    """Where a database is and how to log in; its repr and str never show the password."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return self.redacted

    @property
    def redacted(self) -> str:
        """The URL as it may be shown: without the password and without options."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        secret = ":***" if self.password else ""
        return f"postgresql://{self.user}{secret}@{host}:{self.port}/{self.database}"

    def pinned(self) -> DatabaseUrl:
        """The same login with a search_path of pg_catalog alone, over whatever the database or the role sets.

        Who owns a database chooses what an unqualified name means in it, so a session with more rights must not ask.
        """
        # Of a setting that is given twice, the last one counts.
        wanted = filter(None, [self.options.get("options", ""), PINNED])
        return replace(self, options={**self.options, "options": " ".join(wanted)})

    def libpq_env(self, passfile: str | None = None) -> dict[str, str]:
        """Environment for psql, pg_dump and the like; the password comes from passfile, which holds pgpass_line()."""
        env = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.database,
        }
        env.update({LIBPQ_OPTIONS[key]: value for key, value in self.options.items() if key in LIBPQ_OPTIONS})
        if passfile is not None:
            env["PGPASSFILE"] = passfile
        return env

    def pgpass_line(self) -> str:
        """The line of a password file, good for every database of this server (pg_dumpall connects to another)."""
        # libpq looks a socket in its default directory up as "localhost" and any other by its path.
        host = "*" if self.host.startswith("/") else _escape_pgpass(self.host)
        return f"{host}:{self.port}:*:{_escape_pgpass(self.user)}:{_escape_pgpass(self.password)}\n"

    def connect_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of psycopg2.connect()."""
        kwargs: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": self.database,
        }
        if self.password:
            kwargs["password"] = self.password
        kwargs.update({key: value for key, value in self.options.items() if key in LIBPQ_OPTIONS})
        return kwargs


def parse(url: str) -> DatabaseUrl:
    """Read a PostgreSQL URL, or raise DatabaseUrlError."""
    if not isinstance(url, str) or not url.strip():
        raise DatabaseUrlError(f"The database URL is empty or not a string; write {_FORM}.")
    scheme, separator, rest = url.strip().partition("://")
    if not separator:
        raise DatabaseUrlError(f"The database URL has no scheme; write {_FORM}.")
    _check_scheme(scheme)

    authority, path, query = _split(rest)
    userinfo, at, hostport = authority.rpartition("@")
    if not at and "@" in rest:
        raise DatabaseUrlError(
            "The database URL has an unescaped '/' or '?' in its user or password; write %2F or %3F in its place."
        )
    user, _colon, password = userinfo.partition(":")
    host, port = _split_port(hostport)
    options = _parse_query(query)

    # As in libpq, these may stand among the options; a socket directory usually does.
    host = _decode("host", host) or options.pop("host", "")
    user = _decode("user", user) or options.pop("user", "")
    password = _decode("password", password) or options.pop("password", "")
    database = _decode("database", path) or options.pop("dbname", "")
    port = port or options.pop("port", "")
    for key in ("host", "user", "password", "dbname", "port"):
        options.pop(key, None)

    for name, value in (("host", host), ("user", user), ("database", database)):
        if not value:
            raise DatabaseUrlError(f"The database URL names no {name}; write {_FORM}.")
    if "," in host + port:
        raise DatabaseUrlError("The database URL names several hosts; exactly one is accepted.")
    if "/" in database:
        raise DatabaseUrlError("The database URL has a '/' in its database name; write the name alone after the port.")
    return DatabaseUrl(host, _parse_port(port), user, password, database, _check_options(options))


def _check_scheme(scheme: str) -> None:
    base, plus, driver = scheme.lower().partition("+")
    if base not in SCHEMES:
        shown = base if re.fullmatch(r"[a-z][a-z0-9.-]{0,20}", base) else "something else"
        raise DatabaseUrlError(f"The database URL's scheme is {shown}; postgresql:// or postgres:// is accepted.")
    if plus and driver not in DRIVERS:
        raise DatabaseUrlError(
            f"The database URL's driver after '+' is unknown; {', '.join(DRIVERS)} are accepted, or none."
        )


def _split(rest: str) -> tuple[str, str, str]:
    head, _mark, query = rest.partition("?")
    authority, _slash, path = head.partition("/")
    return authority, path, query


def _split_port(hostport: str) -> tuple[str, str]:
    if hostport.startswith("["):
        host, bracket, port = hostport[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise DatabaseUrlError("The database URL's IPv6 host has no closing bracket; write [2001:db8::1]:5432.")
        return host, port[1:]
    if hostport.count(":") > 1 and "," not in hostport:
        raise DatabaseUrlError("The database URL's host has several colons; write an IPv6 address in brackets.")
    host, _colon, port = hostport.partition(":")
    return host, port


def _parse_port(port: str) -> int:
    if not port:
        return DEFAULT_PORT
    # Not shown when odd: an unescaped '@' or ':' can put a piece of the password here.
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise DatabaseUrlError("The database URL's port is not a number from 1 to 65535.")
    return int(port)


def _parse_query(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        key, _equals, value = pair.partition("=")
        options[_decode("options", key)] = _decode("options", value)
    return options


def _check_options(options: dict[str, str]) -> dict[str, str]:
    ssl = options.pop("ssl", "")  # how asyncpg and JDBC spell sslmode
    if ssl and "sslmode" not in options:
        options["sslmode"] = {"true": "require", "false": "disable"}.get(ssl.lower(), ssl)
    sslmode = options.get("sslmode")
    if sslmode is not None and sslmode not in SSL_MODES:
        raise DatabaseUrlError(f"The database URL's sslmode is unknown; {', '.join(SSL_MODES)} are accepted.")
    return options


def _decode(name: str, text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        decoded = "\0"
    if _CONTROL.search(decoded):
        raise DatabaseUrlError(f"The database URL has a character in its {name} that is not printable UTF-8.")
    return decoded


def _escape_pgpass(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")
