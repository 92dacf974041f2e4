# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""The host backs itself up at night, says what it has, and what it has is one moment of a busy database."""

from __future__ import annotations

import time

from hosts import BALANCES, HOSTS, ROOT, SENTINEL, Host, back_up, both, good, playbook, sums, wait_for

from testbed.faults.backups.bed import Background


@both
def test_the_timers_fire_by_calendar_and_catch_up(host: Host) -> None:
    timer = host.shell("systemctl cat quayside-backup@shop.timer").splitlines()
    assert "OnCalendar=*-*-* 03:00:00" in timer
    assert "Persistent=true" in timer
    assert "OnCalendar=Mon..Fri 22:15" in host.shell("systemctl cat quayside-backup@sealed.timer")
    for name in ("shop", "sealed", "managed", "faults"):
        for unit in (f"quayside-backup@{name}.timer", f"quayside-backup-drill@{name}.timer"):
            assert host.shell(f"systemctl is-active {unit} && systemctl is-enabled {unit}").split() == [
                "active",
                "enabled",
            ]
    # The host was off for two days: systemd knows by its stamp when the timer fired last.
    began = time.time()
    host.shell(
        "systemctl stop quayside-backup@managed.timer && touch -d '2 days ago' "
        "/var/lib/systemd/timers/stamp-quayside-backup@managed.timer && systemctl start quayside-backup@managed.timer"
    )
    wait_for(lambda: host.backups("managed"), 30, "the timer did not catch up")
    created = host.backups("managed")[-1]
    assert created["verified"]
    wait_for(
        lambda: [a for a in host.heard(began, "managed") if a["path"].endswith("/managed")], 10, "no success was heard"
    )


@both
def test_a_backup_is_a_folder_that_a_person_can_read(host: Host) -> None:
    backup = back_up(host, "shop")
    folder = f"{ROOT}/shop/{backup['id']}"
    assert host.shell(f"ls {folder}").split() == ["dump.pgc", "globals.sql", "manifest.json"]
    assert "CREATE ROLE reader" in host.shell(f"cat {folder}/globals.sql")
    manifest = host.manifest("shop", backup["id"])
    expected = {
        "id": backup["id"],
        "name": "shop",
        "database": "shop",
        "host": "127.0.0.1",
        "port": 5432,
        "server_version": host.sql("SHOW server_version").split()[0],
        "client_version": int(host.sql("SHOW server_version_num")) // 10000,
        "compression": "gzip:1" if host.name == "debian12" else "zstd:3",
        "system_identifier": host.sql("SELECT system_identifier FROM pg_control_system()"),
        "damage": "",
        "quarantine": "",
        "proof": None,
        "recipients": [],
        "format": 1,
    }
    assert {key: manifest[key] for key in expected} == expected
    assert manifest["verified_at"] >= manifest["created_at"]
    for file in manifest["files"]:
        size, digest = host.shell(f"stat -c %s {folder}/{file['name']}; sha256sum {folder}/{file['name']}").split()[:2]
        assert (int(size), digest) == (file["size"], file["sha256"])
    assert {"dump", "decode", "count"} <= manifest["seconds"].keys()
    assert {copy["target"] for copy in manifest["copies"] if not copy["problem"]} == {"s3", "vault", "disk"}
    rows = {(table["schema"], table["name"]): table["rows"] for table in manifest["tables"]}
    assert rows['odd "schema"', "Order Lines"] == 3001
    assert rows["public", "no_columns"] == 7
    assert rows["public", "nothing"] == 0
    assert (rows["public", "parent"], rows["public", "child"]) == (20, 30)
    assert rows["public", "parts_2025"] + rows["public", "parts_2026_rest"] == 500
    assert sum(rows["public", f"pgbench_accounts_{n}"] for n in (1, 2, 3)) == 500000


@both
def test_what_was_done_is_one_line_a_step_in_the_journal(host: Host) -> None:
    backup = back_up(host, "managed")
    lines = host.shell("journalctl -q --no-pager -o cat -u quayside-backup@managed.service | tail -n 8").splitlines()
    said = [line for line in lines if line.startswith("managed: ")]
    assert any("dumping postgresql://managed:***@debian12:5432/managed" in line for line in said), lines
    assert any(backup["id"] in line and "verified" in line for line in said), lines


@both
def test_the_list_says_which_backups_there_are_and_how_good_they_are(host: Host) -> None:
    listed = host.backups("shop")
    assert [backup["id"] for backup in listed] == sorted(backup["id"] for backup in listed)
    newest = listed[-1]
    assert newest["verified"]
    assert not newest["proven"]
    assert newest["size"] == sum(file["size"] for file in host.manifest("shop", newest["id"])["files"])
    shown = good(host.backup("list", "shop")).out
    assert newest["id"] in shown
    assert "verified" in shown
    assert good(host.backup("verify", "shop", newest["id"], "--json")).json[0]["verified"]
    (state,) = [state for state in host.backup("status", "--json").json if state["name"] == "shop"]
    assert (state["ok"], state["problems"]) == (True, [])
    assert host.backup("verify", "shop", "20200101T000000Z").code == 1
    assert host.backup("frobnicate").code == 2
    assert host.backup("run").code == 2


@both
def test_rows_counts_and_hashes_are_those_of_one_moment_under_load(host: Host) -> None:
    host.shell(
        "systemd-run --quiet --collect --unit=load --setenv=PGOPTIONS='-c role=shop' -- "
        "runuser -u postgres -- pgbench -n -c 4 -T 120 shop"
    )
    try:
        wait_for(
            lambda: int(host.sql("SELECT count(*) FROM pgbench_history", "shop")) > 100, 20, "pgbench does nothing"
        )
        backup = back_up(host, "shop")
    finally:
        host.shell("systemctl stop load")
    manifest = host.manifest("shop", backup["id"])
    history = next(table for table in manifest["tables"] if table["name"] == "pgbench_history")
    assert 100 < history["rows"] < int(host.sql("SELECT count(*) FROM pgbench_history", "shop"))
    good(host.backup("restore", "shop", backup["id"], "--into", "shop_then"))
    try:
        accounts, tellers, branches, deltas = host.sql(BALANCES, "shop_then").split("|")
        assert accounts == tellers == branches == deltas != "0"
        for table in manifest["tables"]:
            assert sums(host, "shop_then", table) == table["hash"], f"{table['name']} differs"
    finally:
        host.sql("DROP DATABASE shop_then")


def test_backup_yml_does_the_same_now_for_one_app_or_for_all() -> None:
    before = {host.name: {name: host.backups(name) for name in ("shop", "managed")} for host in HOSTS}
    done = good(playbook("backup.yml", extra={"app": "managed"}))
    assert "failed=0" in done.out
    for host in HOSTS:
        assert host.backups("managed")[-1]["id"] > before[host.name]["managed"][-1]["id"]
        assert [b["id"] for b in host.backups("shop")] == [b["id"] for b in before[host.name]["shop"]]
    # In check mode it looks, and writes nothing.
    listed = [host.backups("managed") for host in HOSTS]
    good(playbook("backup.yml", "--check"))
    assert [[b["id"] for b in host.backups("managed")] for host in HOSTS] == [
        [b["id"] for b in found] for found in listed
    ]
    unknown = playbook("backup.yml", extra={"app": "nobody"})
    assert unknown.code != 0
    assert "pg_backup_only names nobody; the databases with backups are shop, sealed, managed, faults" in unknown.out


@both
def test_only_root_reads_what_the_host_keeps(host: Host) -> None:
    for path in (ROOT, "/etc/quayside/backup.json"):
        assert host.shell(f"find {path} ! -user root -o -perm /077") == ""


@both
def test_no_password_in_any_command_line_or_environment_during_a_dump(host: Host) -> None:
    host.shell(
        "systemd-run --quiet --unit=holder --collect -- runuser -u postgres -- psql -Xq -d shop"
        " -c 'BEGIN' -c 'LOCK TABLE audit' -c 'SELECT pg_sleep(100)'"
    )
    try:
        wait_for(
            lambda: host.sql("SELECT 1 FROM pg_locks WHERE granted AND mode = 'AccessExclusiveLock' "
                             "AND relation = (SELECT oid FROM pg_class WHERE relname = 'audit')", "shop"),
            20, "nobody holds the table",
        )  # fmt: skip
        run = Background(host, "quayside-backup", "run", "shop")
        wait_for(
            lambda: host.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'shop'"),
            30, "the run does not wait for the table",
        )  # fmt: skip
        seen = host.shell(
            "for p in $(pgrep -f 'quayside-backup|pg_dump|psql|rclone'); do "
            "tr '\\0' ' ' < /proc/$p/cmdline; tr '\\0' ' ' < /proc/$p/environ; echo; done"
        )
    finally:
        host.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)%' "
                 "AND pid <> pg_backend_pid()")  # fmt: skip
    good(run.end())
    assert "quayside-backup" in seen
    assert SENTINEL not in seen
