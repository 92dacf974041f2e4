# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What certificates need to know of this host and its surroundings, and where their secrets and records are kept."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from ._certbot import Lineage, parse_lineage
from ._certbot_preflight import Looked, Reached, zones
from ._certbot_record import Record, from_json
from ._dns_message import DnsError
from ._dns_query import records
from ._files import write_atomically, write_json

CONFIG = Path("/etc/letsencrypt")
RECORD = Path("/var/lib/quayside/certificates.json")
LOG = Path("/var/log/letsencrypt/letsencrypt.log")
LOG_TAIL = 50_000
TIMEOUT = 5.0
REDIRECTS = (301, 302, 303, 307, 308)
#: Let's Encrypt follows ten, to ports 80 and 443: https://letsencrypt.org/docs/challenge-types/
MAX_REDIRECTS = 10

Run = Callable[[list[str]], tuple[int, str, str]]


def lineages(run: Run, config: Path = CONFIG) -> dict[str, Lineage]:
    """All certificates that certbot has, by name."""
    return {path.stem: _lineage(path, config, run) for path in sorted((config / "renewal").glob("*.conf"))}


def names(config: Path = CONFIG) -> set[str]:
    """The names of all certificates that certbot has."""
    return {path.stem for path in (config / "renewal").glob("*.conf")}


def _lineage(renewal: Path, config: Path, run: Run) -> Lineage:
    certificate = config / "live" / renewal.stem / "cert.pem"
    command = ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-enddate", "-in", str(certificate)]
    lineage = parse_lineage(renewal.read_text(encoding="utf-8"), run(command)[1])
    kept = {path.name for path in (config / "accounts").glob("**/*") if path.is_dir()}
    return replace(lineage, account_lost=bool(lineage.account) and lineage.account not in kept)


def end_of_log(path: Path = LOG) -> str:
    """What certbot wrote last, of its latest run only; nothing where there is no log."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]
    except OSError:
        return ""


def read_record(path: Path = RECORD) -> Record:
    try:
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return Record()


def write_record(record: Record, path: Path = RECORD) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_json(path, record.as_json())


def own_addresses(run: Run) -> set[str]:
    """The addresses of this host that others may know it by."""
    code, out, _err = run(["ip", "-json", "address", "show", "scope", "global"])
    links = json.loads(out) if code == 0 and out.strip() else []
    return {str(info["local"]) for link in links for info in link.get("addr_info", []) if "local" in info}


def caa_identities(directory_url: str, ca_file: str | None) -> list[str]:
    """What the ACME server calls itself in CAA records; nothing where it does not say."""
    parts = urlsplit(directory_url)
    context = ssl.create_default_context(cafile=ca_file)
    connection = http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT, context=context)
    with suppress(OSError, ValueError, http.client.HTTPException), closing(connection):
        connection.request("GET", parts.path or "/")
        meta = json.loads(connection.getresponse().read()).get("meta") or {}
        return [str(identity).lower() for identity in meta.get("caaIdentities") or []]
    return []


def look(name: str, servers: Sequence[str]) -> Looked:
    """Ask DNS for all that matters about a name."""
    try:
        # A wildcard's own name has no address of use; its CAA records count.
        addresses = () if name.startswith("*.") else records(name, "A", servers) + records(name, "AAAA", servers)
        caa: tuple[str, ...] = ()
        for zone in zones(name):
            caa = caa or records(zone, "CAA", servers)
    except DnsError as error:
        return Looked(name, trouble=str(error))
    return Looked(name, tuple(addresses), caa)


@contextmanager
def served_token(webroot: Path) -> Iterator[Callable[[str], Callable[[str], Reached]]]:
    """Puts a token of our own where challenges lie; the body asks an address for it, by a name."""
    folder = webroot / ".well-known" / "acme-challenge"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    name, content = f"quayside-{secrets.token_urlsafe(16)}", secrets.token_urlsafe(32)
    path = folder / name
    try:
        path.write_text(content, encoding="ascii")
        path.chmod(0o644)
        yield lambda domain: lambda address: _reach(address, domain, name, content)
    finally:
        path.unlink(missing_ok=True)


def _reach(address: str, domain: str, token: str, content: str) -> Reached:
    url, plain = f"http://{domain}/.well-known/acme-challenge/{token}", True
    for _hop in range(MAX_REDIRECTS):
        try:
            status, location, body = _get(urlsplit(url), address if plain else "")
        except (OSError, ValueError, http.client.HTTPException) as error:
            told = str(error) or type(error).__name__
            where = "did not answer" if plain else f"led to {url.partition('/.well-known/')[0]}, which did not answer"
            return Reached(False, f"{where} ({told})", refused=plain and isinstance(error, OSError))
        if status == 200 and body.strip() == content:
            return Reached(True)
        if status not in REDIRECTS or not location:
            break
        url, plain = urljoin(url, location), False
    led = "" if plain else f"led to {url.partition('/.well-known/')[0]}, which "
    return Reached(False, f"{led}answered {status}" if status != 200 else f"{led}answered with another page")


def _get(url: SplitResult, address: str = "") -> tuple[int, str, str]:
    """Ask a URL, at its host or at another address. As ACME servers do, whoever signed the certificate."""
    host = url.hostname or ""
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        # What is at stake is only whether our own token comes back.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, url.port or 443, timeout=TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(address or host, url.port or 80, timeout=TIMEOUT)
    with closing(connection):
        target = urlunsplit(("", "", url.path or "/", url.query, ""))
        connection.request("GET", target, headers={"Host": url.netloc})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Location", ""), answer.read(1024).decode("ascii", "replace")


def write_credentials(plugin: str, settings: Mapping[str, object], config: Path = CONFIG) -> tuple[Path, bool]:
    """Keep the credentials of a DNS plugin where only root reads them; also whether they are new or changed."""
    folder = config / "quayside-dns"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{plugin}.ini"
    # Google's come as the JSON of a service account.
    text = json.dumps(settings) if plugin == "google" else "".join(f"{k} = {v}\n" for k, v in sorted(settings.items()))
    with suppress(OSError):
        if path.read_text(encoding="utf-8") == text and path.stat().st_mode & 0o777 == 0o600:
            return path, False
    write_atomically(path, text)
    return path, True


@contextmanager
def secrets_file(eab: Mapping[str, str] | None) -> Iterator[str]:
    """A configuration of certbot with the external account, which is in no argument list; none needs none."""
    if not eab:
        yield ""
        return
    path = Path("/run") / f"quayside-certbot-{os.getpid()}.ini"
    write_atomically(path, f"eab-kid = {eab['kid']}\neab-hmac-key = {eab['hmac_key']}\n")
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


def users_of(name: str, folders: Iterable[Path] = (Path("/etc/nginx"),), config: Path = CONFIG) -> list[str]:
    """The files of nginx that name a certificate's folder: while there are any, it must not go."""
    needle = f"{config}/live/{name}/"
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            with suppress(OSError):
                if path.is_file() and needle in path.read_text(encoding="utf-8", errors="replace"):
                    found.append(str(path))
    return found
