# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a dump's own SQL says: its roles, extensions and tablespaces, and its database's statements under another name.

Pure: reads the text of `pg_restore --create --section=pre-data --section=post-data --file=-`, in which names are quoted
wherever they need it and keywords that end a name never stand alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<skip> --[^\n]* | /\*.*?\*/ | \\[^\n]* | \s+ )
    | (?P<string> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<name> "(?:[^"]|"")*" | [^\W\d][\w$]* )
    | (?P<end> ; )
    | (?P<other> . )
    """,
    re.DOTALL | re.VERBOSE,
)
_PUBLIC = "PUBLIC"
#: The options of a CREATE DATABASE that pg_dump writes.
_OPTIONS = frozenset(
    (
        *("TEMPLATE", "ENCODING", "LOCALE_PROVIDER", "LOCALE", "LC_COLLATE", "LC_CTYPE"),
        *("ICU_LOCALE", "ICU_RULES", "BUILTIN_LOCALE", "TABLESPACE"),
    )
)
_LOCALES = ("LOCALE_PROVIDER", "LOCALE", "LC_COLLATE", "LC_CTYPE", "ICU_LOCALE", "ICU_RULES", "BUILTIN_LOCALE")
_QUOTED = r"""[eE]?'(?:[^'\\]|\\.|'')*'|"(?:[^"]|"")*\""""
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_VALUE = re.compile(rf"(?:{_QUOTED})|[^\W\d][\w$]*", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """One statement: its text, its tokens, and where in the text each of them stands."""

    text: str
    tokens: tuple[str, ...]
    starts: tuple[int, ...]

    def begins(self, *words: str) -> bool:
        return self.tokens[: len(words)] == words

    def renamed(self, position: int, name: str) -> str:
        start = self.starts[position]
        return self.text[:start] + quote(name) + self.text[start + len(self.tokens[position]) :]


@dataclass(frozen=True)
class Needs:
    """What a dump takes for granted on a server. Owners are roles too; named are those that no_owner does not spare."""

    roles: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    tablespaces: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatabaseSql:
    """How to make the dump's database under another name; comment is the one it had, as a literal.

    create and comment hold nothing but what is allowed in them, for the server's administrator runs them; settings,
    limits and grants are statements of the dump, for whoever loads it.
    """

    create: str = ""
    owner: str = ""
    grants: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    comment: str = "NULL"

    @property
    def own_settings(self) -> tuple[str, ...]:
        """Those that are no role's."""
        return tuple(text for text in self.settings if text.startswith("ALTER DATABASE"))


def quote(name: str) -> str:
    """An identifier as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as SQL, whatever standard_conforming_strings says."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'" if "\\" in text else f"'{escaped}'"


def unquote(token: str) -> str:
    """The name that an identifier token stands for."""
    if token.startswith('"'):
        return token[1:-1].replace('""', '"')
    if token.startswith("'"):
        return token[1:-1].replace("''", "'")
    return token.lower() if token.isascii() else token


def statements(sql: str) -> Iterator[Statement]:
    """The statements of a script; comments and psql's own commands are left out."""
    tokens: list[str] = []
    starts: list[int] = []
    begin = 0
    for match in _TOKEN.finditer(sql):
        if match.lastgroup == "skip":
            continue
        if match.lastgroup == "end":
            if tokens:
                yield Statement(sql[begin : match.start()], tuple(tokens), tuple(starts))
            tokens, starts = [], []
            continue
        if not tokens:
            begin = match.start()
        tokens.append(match.group())
        starts.append(match.start() - begin)


def read_needs(sql: str) -> Needs:
    """Every role, extension and tablespace that the dump names."""
    roles: set[str] = set()
    owners: set[str] = set()
    named: set[str] = set()
    extensions: set[str] = set()
    tablespaces: set[str] = set()
    subscriptions: set[str] = set()
    for statement in statements(sql):
        tokens = statement.tokens
        if len(tokens) > 3 and tokens[-3:-1] == ("OWNER", "TO"):
            owners.add(unquote(tokens[-1]))
        elif statement.begins("CREATE", "EXTENSION"):
            extensions.add(unquote(tokens[5] if tokens[2] == "IF" else tokens[2]))
        elif statement.begins("SET", "default_tablespace") and tokens[-1] != "''":
            tablespaces.add(unquote(tokens[-1]))
        elif statement.begins("CREATE", "DATABASE") and "TABLESPACE" in tokens:
            tablespaces.add(unquote(tokens[tokens.index("TABLESPACE") + 2]))
        elif statement.begins("CREATE", "SUBSCRIPTION"):
            subscriptions.add(unquote(tokens[2]))
        roles.update(_roles_of(statement))
        named.update(_roles_of(statement) if tokens[:2] in (("CREATE", "POLICY"), ("CREATE", "USER")) else ())
    found = (roles | owners, owners, named, extensions, tablespaces, subscriptions)
    return Needs(*(tuple(sorted(names)) for names in found))


def _roles_of(statement: Statement) -> set[str]:
    """The roles that a statement other than ALTER ... OWNER needs."""
    tokens = statement.tokens
    found: list[str] = []
    if statement.begins("ALTER", "DEFAULT", "PRIVILEGES"):
        found += _listed(tokens, "ROLE") + _grantees(tokens)
    elif tokens[0] in ("GRANT", "REVOKE"):
        found += _grantees(tokens)
    elif statement.begins("CREATE", "POLICY"):
        found += _listed(tokens, "TO")
    elif statement.begins("CREATE", "USER", "MAPPING"):
        found += _listed(tokens, "FOR")
    elif statement.begins("ALTER", "ROLE"):
        found.append(tokens[2])
    elif statement.begins("SET", "SESSION", "AUTHORIZATION") and tokens[3] != "DEFAULT":
        found.append(tokens[3])
    return {unquote(token) for token in found if token != _PUBLIC}


def _grantees(tokens: Sequence[str]) -> list[str]:
    return _listed(tokens, "FROM" if "REVOKE" in tokens else "TO")


def _listed(tokens: Sequence[str], after: str) -> list[str]:
    """The names, separated by commas, that follow the last such keyword."""
    if after not in tokens:
        return []
    position = len(tokens) - 1 - list(reversed(tokens)).index(after) + 1
    found = list(tokens[position : position + 1])
    while position + 2 < len(tokens) and tokens[position + 1] == ",":
        position += 2
        found.append(tokens[position])
    return found


def read_database(sql: str, name: str) -> DatabaseSql:
    """The dump's own statements about its database, rewritten to another name."""
    create, owner, comment = "", "", "NULL"
    grants: list[str] = []
    settings: list[str] = []
    limits: list[str] = []
    for statement in statements(sql):
        tokens = statement.tokens
        if statement.begins("CREATE", "DATABASE"):
            create = _create(tokens, name)
        elif statement.begins("ALTER", "DATABASE"):
            text = statement.renamed(2, name)
            if tokens[3:5] == ("OWNER", "TO"):
                owner = unquote(tokens[5])
            elif tokens[3] == "SET":
                settings.append(text)
            else:
                limits.append(text)
        elif statement.begins("ALTER", "ROLE") and tokens[3:5] == ("IN", "DATABASE"):
            settings.append(statement.renamed(5, name))
        elif statement.begins("COMMENT", "ON", "DATABASE"):
            comment = literal(_string(tokens[5])) if tokens[5].endswith("'") else "NULL"
        elif tokens[0] in ("GRANT", "REVOKE") and "DATABASE" in tokens and tokens[tokens.index("DATABASE") - 1] == "ON":
            grants.append(statement.renamed(tokens.index("DATABASE") + 1, name))
    return DatabaseSql(create, owner, tuple(grants), tuple(settings), tuple(limits), comment)


def _create(tokens: Sequence[str], name: str) -> str:
    """A CREATE DATABASE of known options and plain values, whatever else the dump wants."""
    options = ""
    for position in range(3, len(tokens) - 2):
        key, equals, value = tokens[position : position + 3]
        if equals == "=" and key in _OPTIONS and _VALUE.fullmatch(value):
            plain = key in ("TEMPLATE", "LOCALE_PROVIDER")
            shown = literal(_string(value)) if value.endswith("'") else quote(unquote(value))
            options += f" {key} = {unquote(value) if plain and _WORD.fullmatch(value) else shown}"
    return f"CREATE DATABASE {quote(name)} WITH{options}" if options else f"CREATE DATABASE {quote(name)}"


def _string(token: str) -> str:
    """The text of a string constant."""
    text = token[token.index("'") + 1 : -1].replace("''", "'")
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL) if token[0] in "eE" else text


def fit_create(create: str, server: int, tablespaces: bool, *, locale: bool = True) -> str:
    """A CREATE DATABASE that this major understands, on the default tablespace if the dump's are not there.

    Without its locale it gets the server's, or C for another encoding than UTF-8.
    """
    if not locale:
        create = re.sub(rf" (?:{'|'.join(_LOCALES)}) = (?:{_QUOTED}|\w+)", "", create)
        if " ENCODING = " in create and " ENCODING = 'UTF8'" not in create:
            create += " LOCALE = 'C'"
    if server < 15:
        create = create.replace(" LOCALE_PROVIDER = libc", "")
    return create if tablespaces else re.sub(rf" TABLESPACE = (?:{_QUOTED}|\w+)", "", create)
