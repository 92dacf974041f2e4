# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""The whole stack, seen from outside: as a user of the apps, as their owner, and as an attacker."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import testinfra
from requests.adapters import HTTPAdapter

ROOT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
ACME_ROOT = EPHEMERAL / "bed/acme-root.pem"
SENTINEL = "s3ntinel"
ADDRESSES = {"web12": "172.30.8.12", "web13": "172.30.8.13"}
DATABASES = {"web12": "db12", "web13": "db13"}
REVISION = "0003"


class ToAddress(HTTPAdapter):
    """Connects to a fixed address while name, SNI and certificate check stay those of the URL: curl's --resolve."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, server_hostname=self.name, assert_hostname=self.name, **kwargs)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url
        request.headers["Host"] = self.name
        request.url = request.url.replace(f"//{self.name}", f"//{self.address}", 1)
        return super().send(request, *args, **kwargs)


@dataclass(frozen=True)
class Site:
    """An app on a web host, as its users reach it."""

    host: str
    app: str = "ledger"
    prefix: str = ""

    @property
    def name(self) -> str:
        return f"{self.prefix}{self.app}.{self.host}.test"

    @property
    def session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.verify = str(ACME_ROOT)
        for scheme in ("http", "https"):
            session.mount(f"{scheme}://{self.name}", ToAddress(self.name, ADDRESSES[self.host]))
        return session

    def get(self, path: str, scheme: str = "https", **options: Any) -> requests.Response:
        return self.session.get(f"{scheme}://{self.name}{path}", **{"timeout": 10, "allow_redirects": False, **options})

    def health(self) -> dict[str, Any]:
        answer = self.get("/health")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def await_health(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.health()
            except (requests.RequestException, AssertionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)


@dataclass
class Load:
    """Requests from several clients at once, until the block ends."""

    site: Site
    clients: int = 4
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    releases: set[str] = field(default_factory=set)
    stop: bool = False

    def client(self, keep_alive: bool) -> None:
        session = self.site.session
        while not self.stop and self.answered < 20000:
            if not keep_alive:
                session = self.site.session
            try:
                answer = session.get(f"https://{self.site.name}/health", timeout=10)
                self.answered += 1
                if answer.status_code == 200:
                    self.releases.add(answer.json()["release"])
                else:
                    self.failures.append(f"status {answer.status_code}")
            except requests.RequestException as error:
                self.failures.append(repr(error))
            time.sleep(0.005)

    def __enter__(self) -> Load:
        self.pool = concurrent.futures.ThreadPoolExecutor(self.clients)
        self.work = [self.pool.submit(self.client, bool(number % 2)) for number in range(self.clients)]
        return self

    def __exit__(self, *_: object) -> None:
        self.stop = True
        for work in self.work:
            work.result()
        self.pool.shutdown()


def playbook(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of the playbooks that users type."""
    return subprocess.run(
        ["ansible-playbook", f"--inventory={EPHEMERAL / 'inventory'}", name, *arguments],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def said(run: subprocess.CompletedProcess[str]) -> str:
    """All that a run printed, on one line."""
    return " ".join(f"{run.stdout} {run.stderr}".split())


def good(run: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr
    return run


def extra(**variables: Any) -> tuple[str, str]:
    return "-e", json.dumps(variables)


def sql(database_host: str, database: str, command: str) -> str:
    host = testinfra.get_host(f"docker://postgres@{database_host}")
    return str(host.check_output("psql -XAtq -v ON_ERROR_STOP=1 -d %s -c %s", database, command)).strip()


@pytest.fixture(scope="session")
def network() -> str:
    return "quayside-site"


@pytest.fixture(params=sorted(ADDRESSES))
def web(request: pytest.FixtureRequest) -> str:
    """Each web host in turn."""
    return str(request.param)


@pytest.fixture
def shell(web: str) -> Any:
    """A root shell on the web host, by another way than the one under test."""
    return testinfra.get_host(f"docker://{web}")


def containers(shell: Any, app: str = "ledger") -> list[str]:
    found: str = shell.check_output("docker ps --filter label=quayside.app=%s --format '{{.Names}}'", app)
    return sorted(found.split())


# As a user


@pytest.mark.parametrize("app", ["ledger", "notes"])
def test_the_app_answers_over_valid_https(web: str, app: str) -> None:
    health = Site(web, app).health()
    assert health["status"] == "ok"
    assert health["database"] == "reachable"
    assert health["version"] == "1.0.0"
    assert health["release"].startswith("20")


def test_http_leads_to_https_and_other_names_to_the_first(web: str) -> None:
    answer = Site(web).get("/health?a=b", scheme="http")
    assert (answer.status_code, answer.headers["Location"]) == (308, f"https://ledger.{web}.test/health?a=b")
    answer = Site(web, prefix="www.").get("/x")
    assert (answer.status_code, answer.headers["Location"]) == (308, f"https://ledger.{web}.test/x")


def test_answers_carry_the_security_headers(web: str) -> None:
    headers = Site(web).get("/health").headers
    assert headers["Strict-Transport-Security"].startswith("max-age=63072000")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "nginx"


def test_what_is_written_is_read_again_and_the_worker_works(web: str) -> None:
    site = Site(web)
    account = site.session.post(
        f"https://{site.name}/api/v1/accounts", json={"name": f"a {time.time_ns()}"}, timeout=10
    )
    assert account.status_code == 201, account.text
    assert site.get(f"/api/v1/accounts/{account.json()['id']}").json()["name"] == account.json()["name"]
    job = site.session.post(
        f"https://{site.name}/api/v1/jobs", json={"kind": "statement", "account_id": account.json()["id"]}, timeout=10
    ).json()
    deadline = time.monotonic() + 15
    while (state := site.get(f"/api/v1/jobs/{job['id']}").json()["status"]) != "done":
        assert time.monotonic() < deadline, f"the job is still {state}"
        time.sleep(0.2)


def test_a_websocket_is_upgraded(web: str) -> None:
    site = Site(web)
    context = ssl.create_default_context(cafile=str(ACME_ROOT))
    with (
        socket.create_connection((ADDRESSES[web], 443), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=site.name) as stream,
    ):
        key = base64.b64encode(os.urandom(16)).decode()
        stream.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {site.name}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert stream.recv(1024).startswith(b"HTTP/1.1 101")


def test_the_schema_is_that_of_the_image(web: str) -> None:
    for database in ("ledger", "notes"):
        assert sql(DATABASES[web], database, "SELECT version_num FROM alembic_version") == REVISION


# As an attacker


def test_only_the_declared_ports_are_open(web: str, open_ports: Callable[..., list[int]]) -> None:
    assert open_ports(ADDRESSES[web]) == [22, 80, 443]


def test_a_name_that_nobody_declared_gets_nothing(web: str, here: Any) -> None:
    resolve = f"other.test:443:{ADDRESSES[web]}"
    assert here.run("curl -sk --max-time 5 --resolve %s https://other.test/", resolve).rc == 35  # the handshake ends
    assert here.run("curl -s --max-time 5 -H 'Host: other.test' http://%s/", ADDRESSES[web]).rc in {52, 56}  # no reply


def test_containers_are_locked_down(shell: Any) -> None:
    for name in containers(shell):
        details = json.loads(shell.check_output("docker inspect %s", name))[0]
        config = details["HostConfig"]
        assert config["ReadonlyRootfs"] is True
        assert config["CapDrop"] == ["ALL"]
        assert config["SecurityOpt"] == ["no-new-privileges"]
        assert config["Memory"] == 512 * 1024 * 1024
        assert details["Config"]["User"] not in {"", "0", "root"}
        assert SENTINEL not in json.dumps(details["Config"]["Labels"]) + json.dumps(details["Args"])


def test_no_secret_where_others_can_read(web: str, shell: Any) -> None:
    nobody = (
        "runuser -u nobody -- find /etc /home /root /run /srv /tmp /usr/local /var -type f -readable -size -8M"
        " -print0 2>/dev/null | runuser -u nobody -- xargs -0 grep -ls %s || true"
    )
    canary = f"canary-{time.time_ns()}"
    shell.check_output("echo %s > /var/tmp/canary", canary)
    assert shell.check_output(nobody, canary) == "/var/tmp/canary", "the search finds nothing at all"
    assert shell.check_output(nobody, SENTINEL) == ""
    assert SENTINEL not in shell.check_output("ps -eo args | grep -v grep")
    assert SENTINEL not in shell.check_output("journalctl --no-pager --quiet || true")
    kept = shell.check_output("grep -ls %s /etc/quayside/* /var/lib/quayside/apps/*/releases/*", SENTINEL)
    assert kept, "the secrets are kept nowhere: this test looks in the wrong places"


# As the owner, from the outside in


def test_the_installed_collection_does_the_same(tmp_path: Path) -> None:
    """`ansible-playbook quayside.web.site` from elsewhere, with nothing of the checkout in reach."""
    subprocess.run(["tools/build_artifact.sh"], cwd=ROOT, check=True, capture_output=True)
    run = subprocess.run(
        ["ansible-playbook", f"--inventory={EPHEMERAL / 'inventory'}", "quayside.web.site", "--check"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache"), "ANSIBLE_PIPELINING": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr
    assert run.stdout.count("changed=0") == len(ADDRESSES)


def only_app(**changes: Any) -> dict[str, Any]:
    """Variables that declare one app, which differs from a good one in some keys."""
    return {"quayside_apps": [{"name": "ledger", "image": "a:1", "port": 1, "domains": ["a.test"], **changes}]}


TWICE = {"quayside_apps": [only_app(name=name)["quayside_apps"][0] for name in ("one", "two")]}

BAD = [
    pytest.param(
        only_app(domain="x"),
        ['app "ledger": domain is an unknown key', "did you mean domains?"],
        id="unknown key",
    ),
    pytest.param(
        only_app(port="80a"),
        ['app "ledger": port is "80a"', "an integer from 1 to 65535"],
        id="wrong type",
    ),
    pytest.param(
        TWICE,
        ['app "two": domains has "a.test", which app "one" has too'],
        id="a domain twice",
    ),
    pytest.param(
        only_app(database_url="postgresql://ledger:s3ntinel-wrong@172.30.8.22/ledger"),
        ['app "ledger": database_url leads to postgresql://ledger:***@172.30.8.22:5432/ledger', "password"],
        id="wrong password",
    ),
    pytest.param(
        only_app(database_url="postgresql://ledger:s3ntinel-wrong@172.30.8.99/ledger"),
        ['app "ledger": database_url leads to postgresql://ledger:***@172.30.8.99:5432/ledger'],
        id="no such database server",
    ),
    pytest.param(
        {"version": "9.9.9"},
        ['image "172.30.8.30:5000/ledger:9.9.9": the registry has none by that name and tag'],
        id="missing image",
    ),
    pytest.param(
        only_app(source="archive", archive="/nowhere/a.tar"),
        ['app "ledger": archive is "/nowhere/a.tar"', "No such file"],
        id="missing archive",
    ),
]


@pytest.mark.parametrize(("variables", "sentences"), BAD)
def test_bad_input_stops_the_run_before_anything_changes(variables: dict[str, Any], sentences: list[str]) -> None:
    run = playbook("site.yml", "-vvv", *extra(**variables))
    assert run.returncode != 0
    for sentence in sentences:
        assert sentence in said(run)
    assert run.stdout.count("changed=0") == len(ADDRESSES)
    assert "s3ntinel-wrong" not in said(run)


def test_a_missing_image_is_named_and_the_old_release_serves(web: str) -> None:
    before = Site(web).health()["release"]
    run = playbook("deploy.yml", "--limit", web, *extra(app="ledger", version="9.9.9"))
    assert run.returncode != 0
    assert 'image "172.30.8.30:5000/ledger:9.9.9"' in said(run)
    assert "changed=0" in run.stdout
    assert Site(web).health()["release"] == before


def test_a_crash_at_start_is_told_at_once_and_the_old_release_serves(web: str, shell: Any) -> None:
    before = Site(web).health()["release"]
    start = time.monotonic()
    run = playbook("deploy.yml", "--limit", web, *extra(app="ledger", ledger_env={"LEDGER_FAULT": "crash_at_start"}))
    assert run.returncode != 0
    assert "exited with code 1" in said(run)
    assert "crashing at start" in said(run), "the container's last words are missing"
    assert time.monotonic() - start < 20, "it waited for the health gate although the container was gone"
    assert Site(web).health()["release"] == before
    assert len(containers(shell)) == 3


def test_no_secret_in_the_output_of_a_deploy_and_back_without_a_lost_request(web: str) -> None:
    site = Site(web)
    before = site.health()
    with Load(site) as load:
        deploy = good(playbook("deploy.yml", "-vvv", "--diff", "--limit", web, *extra(app="ledger", version="1.1.0")))
        during = site.health()
        back = good(playbook("rollback.yml", "-vvv", "--diff", "--limit", web, *extra(app="ledger")))
    after = site.health()
    assert during["version"] == "1.1.0"
    assert during["release"] != before["release"]
    assert after["release"] == before["release"]
    assert load.failures == []
    assert load.answered > 100
    assert load.releases == {before["release"], during["release"]}
    for run in (deploy, back):
        assert SENTINEL not in run.stdout + run.stderr
    assert "(secret)" in deploy.stdout or "LEDGER_API_TOKEN" not in deploy.stdout


def test_no_secret_in_the_output_of_a_run_that_uses_them_all() -> None:
    for web in ADDRESSES:
        shell = testinfra.get_host(f"docker://{web}")
        shell.check_output("rm -r /etc/quayside /var/lib/quayside/apps/notes")
        shell.check_output("docker rm -f %s", containers(shell, "notes")[0])
    run = good(playbook("site.yml", "-vvv", "--diff"))
    assert SENTINEL not in run.stdout + run.stderr
    assert run.stdout.count("changed=2") == len(ADDRESSES), run.stdout[-2000:]
    for web in ADDRESSES:
        Site(web, "notes").health()


@pytest.fixture
def may_create_databases() -> Iterator[None]:
    """A restore goes into a new database, which the apps' role may not create by itself."""
    for database in DATABASES.values():
        sql(database, "postgres", "ALTER ROLE ledger CREATEDB")
    yield
    for database in DATABASES.values():
        sql(database, "postgres", "ALTER ROLE ledger NOCREATEDB")


def test_a_backup_is_restored_with_the_app_stopped_and_undone(may_create_databases: None) -> None:
    def accounts() -> list[set[str]]:
        return [
            set(sql(database, "ledger", "SELECT name FROM accounts").split("\n")) for database in DATABASES.values()
        ]

    def stopped(web: str, since: str) -> set[str]:
        events = (
            f"docker events --since {since} --until $(date +%s) --filter event=stop --filter label=quayside.app=ledger"
        )
        names = testinfra.get_host(f"docker://{web}").check_output(
            f"{events} --format '{{{{.Actor.Attributes.name}}}}'"
        )
        return set(names.split())

    runs = [good(playbook("backup.yml", "-vvv", *extra(app="ledger")))]
    before = accounts()
    for web in ADDRESSES:
        Site(web).session.post(f"https://{Site(web).name}/api/v1/accounts", json={"name": "too late"}, timeout=10)
    assert all("too late" in names for names in accounts())
    since = str(int(time.time()))
    runs.append(good(playbook("restore.yml", "-vvv", "--diff", *extra(app="ledger", stop_app=True))))
    assert accounts() == before
    for web in ADDRESSES:
        assert Site(web).await_health(30)["database"] == "reachable"
        shell = testinfra.get_host(f"docker://{web}")
        assert stopped(web, since) == set(containers(shell)), "the app was not stopped, or did not come back"
    runs.append(good(playbook("restore.yml", "-vvv", *extra(app="ledger", undo=True))))
    assert all("too late" in names for names in accounts())
    for web in ADDRESSES:
        assert Site(web).await_health(30)["database"] == "reachable"
    assert not any(SENTINEL in run.stdout + run.stderr for run in runs)


def test_a_drill_proves_it_with_the_rights_of_the_apps_role(shell: Any) -> None:
    shell.check_output("systemctl start quayside-backup-drill@ledger")
    newest = json.loads(shell.check_output("quayside-backup list --json ledger"))[-1]
    assert newest["proven"], newest
    assert shell.run("pgrep -u postgres,quayside-drill").stdout == "", "a server runs on the app's host"


def test_the_nightly_backup_is_scheduled(shell: Any) -> None:
    timers = shell.check_output("systemctl list-timers --all --no-pager 'quayside-backup*'")
    assert "quayside-backup@ledger" in timers.replace("-ledger", "@ledger")
    assert "notes" not in timers


def test_after_a_reboot_the_apps_are_back(web: str, here: Any) -> None:
    before = Site(web).health()["release"]
    here.check_output("docker restart -t 30 %s", web)
    assert Site(web).await_health(90)["release"] == before
    Site(web, "notes").await_health(30)


@pytest.fixture
def port_80_taken(shell: Any) -> Iterator[None]:
    shell.check_output("systemctl stop nginx")
    shell.check_output("systemd-run --unit=squatter python3 -m http.server 80")
    time.sleep(1)
    yield
    shell.check_output("systemctl stop squatter")
    shell.check_output("systemctl start nginx")


def test_a_taken_port_is_refused_by_name(web: str, port_80_taken: None) -> None:
    run = playbook("site.yml", "--limit", web)
    assert run.returncode != 0
    assert "port 80: python3" in said(run)
    assert "squatter.service" in said(run)
    assert "changed=0" in run.stdout


@pytest.fixture(scope="module")
def only_ledger() -> dict[str, Any]:
    """The list of apps without notes."""
    found = subprocess.run(
        ["ansible-inventory", f"--inventory={EPHEMERAL / 'inventory'}", "--host", "web12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {"quayside_apps": [app for app in json.loads(found.stdout)["quayside_apps"] if app["name"] == "ledger"]}


def test_an_app_that_is_no_longer_listed_is_named_and_stays(only_ledger: dict[str, Any]) -> None:
    run = playbook("site.yml", *extra(**only_ledger))
    assert run.returncode != 0
    for web in ADDRESSES:
        assert 'app "notes" is on this host and not in quayside_apps: its site (notes.' in said(run)
        assert "1 container and its releases would disappear" in said(run)
        assert "-e confirm=notes" in said(run)
        Site(web, "notes").health()
    assert run.stdout.count("changed=0") == len(ADDRESSES)


def test_a_confirmed_one_goes_but_for_its_database(only_ledger: dict[str, Any]) -> None:
    run = good(playbook("site.yml", *extra(**only_ledger, confirm="notes")))
    assert "Removed all of notes but" in said(run)
    for web in ADDRESSES:
        with pytest.raises(requests.RequestException):
            Site(web, "notes").session.get(f"https://{Site(web, 'notes').name}/health", timeout=5)
        Site(web).health()
        left = testinfra.get_host(f"docker://{web}")
        assert containers(left, "notes") == []
        assert left.run("grep -rls notes /var/lib/quayside/apps /var/lib/quayside/ports.json /etc/nginx").stdout == ""
        assert "quayside-notes" not in left.check_output("docker network ls --format '{{.Name}}'")
        assert "quayside-ledger" in left.check_output("docker network ls --format '{{.Name}}'")
        assert sql(DATABASES[web], "notes", "SELECT version_num FROM alembic_version") == REVISION
