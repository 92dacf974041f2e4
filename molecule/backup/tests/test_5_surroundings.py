# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Whom a host tells, what it measures, and what it refuses before anything is touched."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hosts import DEBIAN12, ROOT, SENTINEL, Host, back_up, both, good, playbook, refused, wait_for

METRICS = "/var/lib/prometheus/node-exporter/quayside_backup.prom"
LINE = re.compile(r'(quayside_backup_[a-z_]+)\{((?:[a-z]+="[^"]*",?)+)\} ([0-9.e+-]+)')


@both
def test_start_success_and_failure_are_told(host: Host) -> None:
    began = time.time()
    backup = back_up(host, "managed")
    wait_for(lambda: len(host.heard(began, "managed")) >= 3, 10, "it told too little")
    told = [(r["path"].partition(f"/{host.name}/")[2], r["body"]) for r in host.heard(began, "managed")]
    assert [path for path, _body in told] == ["managed/start", "managed", ""]
    event = json.loads(told[2][1])
    assert (event["event"], event["id"], event["name"], event["ok"]) == ("success", backup["id"], "managed", True)
    # And a failure, with mail.
    began = time.time()
    host.sql("ALTER ROLE faults NOLOGIN")
    try:
        assert host.unit("faults").code != 0
    finally:
        host.sql("ALTER ROLE faults LOGIN")
        host.run("systemctl", "reset-failed")
    letters = wait_for(lambda: [r for r in host.heard(began) if r["path"] == "/mail"], 20, "there was no mail")
    assert len(letters) == 1
    assert f"[{host.name}] backup of faults failed" in letters[0]["body"]
    assert "not permitted to log in" in letters[0]["body"]
    assert len(host.failures(began, "faults")) == 1
    assert SENTINEL not in letters[0]["body"]
    assert host.backup("status").code == 1
    assert "PROBLEM" in host.backup("status").out
    back_up(host, "faults")


@both
def test_a_run_that_is_killed_is_told_of_by_another(host: Host) -> None:
    began = time.time()
    host.shell("systemctl start --no-block quayside-backup@shop.service")
    wait_for(lambda: host.run("pgrep", "-x", "pg_dump").code == 0 or host.look("shop").held, 20, "no run")
    host.shell("systemctl kill --kill-whom=main --signal=KILL quayside-backup@shop.service")
    (told,) = wait_for(lambda: host.failures(began, "shop"), 20, "nobody was told")
    assert "ended from outside" in told
    host.run("systemctl", "reset-failed")
    back_up(host, "shop")


@both
def test_the_metrics_are_what_prometheus_reads(host: Host) -> None:
    backup = back_up(host, "managed")
    text = host.shell(f"cat {METRICS}")
    found: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        if line.startswith("# "):
            assert re.fullmatch(r"# (HELP quayside_backup_[a-z_]+ .+|TYPE quayside_backup_[a-z_]+ gauge)", line)
            continue
        match = LINE.fullmatch(line)
        assert match, line
        found[match[1].removeprefix("quayside_backup_"), match[2]] = float(match[3])
    name = 'name="managed"'
    assert found["size_bytes", name] == backup["size"]
    assert found["rows", name] == 2000
    assert found["last_run_success", name] == 1
    assert abs(found["last_verified_timestamp_seconds", name] - time.time()) < 300
    assert found["offsite_success", 'name="shop",target="s3"'] == 1
    assert found["drill_seconds", 'name="sealed"'] > 0
    # For a collector that runs as another user.
    assert host.shell(f"stat -c %a {METRICS}") == "644"
    assert host.run("runuser", "-u", "nobody", "--", "cat", METRICS).code == 0


@both
def test_the_certificate_of_the_server_is_checked(host: Host) -> None:
    config = host.config()
    managed = next(database for database in config["databases"] if database["name"] == "managed")
    managed["url"] = managed["url"].replace("@debian12/", "@172.30.12.12/")
    host.write("/root/altered.json", json.dumps(config))
    refused(host.backup("--config", "/root/altered.json", "run", "managed"), "certificate")
    good(host.backup("run", "managed"))


def test_a_newer_server_needs_a_newer_client_and_its_package_is_named() -> None:
    config = DEBIAN12.config()
    managed = next(database for database in config["databases"] if database["name"] == "managed")
    managed["url"] = managed["url"].replace("@debian12/", "@debian13/")
    DEBIAN12.write("/root/altered.json", json.dumps(config))
    refused(DEBIAN12.backup("--config", "/root/altered.json", "run", "managed"), "postgresql-client-17")


@both
def test_a_pooler_is_refused(host: Host) -> None:
    config = host.config()
    faults = next(database for database in config["databases"] if database["name"] == "faults")
    before = host.look("faults").entries
    faults["url"] = faults["url"].replace(":5432/", ":6432/")
    host.write("/root/altered.json", json.dumps(config))
    refused(host.backup("--config", "/root/altered.json", "run", "faults"), "pooler", "the server's own host and port")
    assert host.look("faults").entries == before


@both
def test_too_little_disk_is_refused_before_anything_is_written(host: Host) -> None:
    config = host.config()
    config["root"] = "/mnt/small"
    host.write("/root/altered.json", json.dumps(config))
    host.shell("mkdir -p /mnt/small && mount -t tmpfs -o size=100k,mode=0700 tmpfs /mnt/small")
    try:
        refused(host.backup("--config", "/root/altered.json", "run", "shop"), "free", "needed")
        assert not [name for name in host.shell("ls -A /mnt/small/shop || true").split() if "T" in name]
    finally:
        host.shell("umount /mnt/small && rmdir /mnt/small")
    config["root"] = "/proc/nowhere"
    host.write("/root/altered.json", json.dumps(config))
    refused(host.backup("--config", "/root/altered.json", "run", "shop"), "/proc/nowhere")


def settings(**changes: Any) -> dict[str, Any]:
    database = {"name": "shop", "url": f"postgresql://u:{SENTINEL}@h/d"}
    return {"pg_backup_databases": [{**database, **changes}]}


def target(**changes: Any) -> dict[str, Any]:
    return settings(offsite=[{"name": "there", "type": "local", "path": "/mnt/there", **changes}])


REFUSED = [
    pytest.param(settings(schedule="25:00"), "schedule is '25:00'", id="an hour that no day has"),
    pytest.param(settings(schedule="*-02-31"), "schedule is '*-02-31'", id="a day that no year has"),
    pytest.param(settings(drill={"schedule": "Blursday"}), "Blursday", id="a drill on no day"),
    pytest.param(settings(keep={"daily": -1}), "keep.daily is '-1'", id="a negative keep"),
    pytest.param(settings(keep={"hourly": 1}), "hourly", id="an unknown keep"),
    pytest.param(settings(minimum=0), "minimum is '0'", id="no floor"),
    pytest.param(settings(url="mysql://u:s3ntinel@h/d"), "scheme is mysql", id="another database"),
    pytest.param(settings(name="../shop"), "name", id="a name that climbs"),
    pytest.param(settings(encrypt={"recipients": ["AGE-SECRET-KEY-1QQ"]}), "is a PRIVATE key", id="a private key"),
    pytest.param(settings(encrypt={"recipients": []}), "recipients", id="encrypted to nobody"),
    pytest.param(settings(shrink_percent=101), "shrink_percent", id="a shrink of more than all"),
    pytest.param(settings(keep_old_days=-1), "keep_old_days", id="negative days"),
    pytest.param(target(type="ftp"), "type is 'ftp'; s3, sftp, local are accepted", id="an unknown offsite type"),
    pytest.param(target(type="rsync"), "use sftp", id="rsync"),
    pytest.param(target(path="there"), "absolute path", id="a relative path"),
    pytest.param(target(path=f"{ROOT}/there"), "in one another", id="no second place"),
    pytest.param(target(type="s3", path=None, bucket="b"), "endpoint", id="an S3 that is nowhere"),
    pytest.param(
        target(type="sftp", host="h", user="u", path="p", password=SENTINEL), "ssh-keyscan", id="an SFTP host unseen"
    ),
    pytest.param({"pg_backup_compression": "zip"}, "zip", id="an unknown compression"),
    pytest.param({"pg_backup_root": "backups"}, "backups", id="a relative root"),
    pytest.param({"pg_backup_alerts": {"ping": "hc-ping.com/x"}}, "alerts.ping is not a URL", id="no URL"),
    pytest.param({"pg_backup_spread": -1}, "spread is '-1'", id="a negative spread"),
]


def owned(host: Host) -> str:
    return host.shell(
        "find /etc/quayside /usr/local/lib/quayside /usr/local/bin /etc/systemd/system -name '*quayside*' -o -path "
        "'*/quayside/*' -type f | sort | xargs md5sum 2>/dev/null; "
        "systemctl list-timers --all --no-legend 'quayside*' | wc -l"
    )


def test_bad_settings_are_refused_and_nothing_is_changed() -> None:
    before = owned(DEBIAN12)
    given = [case.values[0] for case in REFUSED]
    done = good(playbook("molecule/backup/refusals.yml", extra={"refusals": given}, limit="debian12", variables=False))
    messages = re.findall(r"<<< (.*?) >>>", done.out.replace("''", "'").replace('\\"', '"'))
    assert len(messages) == len(REFUSED), messages
    wrong = [f"{case.id}: {message}" for case, message in zip(REFUSED, messages) if case.values[1] not in message]
    assert wrong == []
    assert owned(DEBIAN12) == before


def test_an_s3_that_does_not_let_us_in_is_said_and_no_secret_shown() -> None:
    config = DEBIAN12.config()
    faults = next(database for database in config["databases"] if database["name"] == "faults")
    faults["offsite"][0]["bucket"] = "no-such-bucket"
    DEBIAN12.write("/root/altered.json", json.dumps(config))
    refused(DEBIAN12.backup("--config", "/root/altered.json", "run", "faults"), "no-such-bucket")
    back_up(DEBIAN12, "faults")
