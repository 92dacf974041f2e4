# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""A drill turns verified into proven; what is strange is kept apart; and what no rule keeps goes."""

from __future__ import annotations

import json
import time

from hosts import DEBIAN12, HOSTS, ROOT, Host, back_up, both, good, refused


@both
def test_a_drill_restores_every_row_and_leaves_nothing(host: Host) -> None:
    backup = back_up(host, "shop")
    databases = host.sql("SELECT datname FROM pg_database ORDER BY 1")
    good(host.run("systemctl", "start", "quayside-backup-drill@shop.service"))
    (proven,) = [found for found in host.backups("shop") if found["id"] == backup["id"]]
    proof = proven["proof"]
    assert proven["proven"]
    assert (proof["problem"], proof["hashed"]) == ("", True)
    assert (proof["tables"], proof["rows"]) == (backup["tables"], backup["rows"])
    assert proof["seconds"] > 0
    assert "PROVEN" in host.backup("list", "shop").out
    assert host.sql("SELECT datname FROM pg_database ORDER BY 1") == databases


@both
def test_a_drill_notices_a_row_that_is_not_the_one_that_was_dumped(host: Host) -> None:
    backup = back_up(host, "shop")
    path = f"{ROOT}/shop/{backup['id']}/manifest.json"
    manifest = host.manifest("shop", backup["id"])
    twins = next(table["hash"] for table in manifest["tables"] if table["name"] == "twins")
    host.shell(f"sed -i 's/{twins}/{twins[::-1]}/' {path}")
    done = refused(host.backup("drill", "shop", backup["id"], "--json"), "twins")
    assert done.json[0]["proof"]["problem"]
    (found,) = [found for found in host.backups("shop") if found["id"] == backup["id"]]
    assert not found["proven"]
    assert "FAILED" in host.backup("list", "shop").out
    host.shell(f"rm -r {ROOT}/shop/{backup['id']}")


@both
def test_what_is_encrypted_is_proven_before_it_is(host: Host) -> None:
    good(host.run("systemctl", "start", "quayside-backup-drill@sealed.service"))
    newest = host.backups("sealed")[-1]
    assert newest["proven"]
    assert newest["encrypted"]
    refused(host.backup("drill", "sealed", newest["id"]), "identity")


@both
def test_retention_removes_what_no_rule_keeps_and_says_why_the_others_stay(host: Host) -> None:
    ids = [back_up(host, "faults")["id"] for _time in range(3)]
    before = [backup["id"] for backup in host.backups("faults")]
    assert before[-3:] == ids
    assert len([backup for backup in host.backups("faults") if backup["verified"]]) == 3
    config = host.config()
    for database in config["databases"]:
        database["minimum"] = 1
    host.write("/root/fewer.json", json.dumps(config))
    shown = good(host.backup("--config", "/root/fewer.json", "rotate", "faults", "--check")).out
    assert shown.count("GOES") == 2
    assert "newest" in shown
    assert [backup["id"] for backup in host.backups("faults")] == before
    decided = good(host.backup("--config", "/root/fewer.json", "rotate", "faults", "--json")).json
    assert decided["removed"] == before[-2::-1]
    assert [backup["id"] for backup in host.backups("faults")] == ids[2:]


@both
def test_a_dump_that_shrank_is_kept_apart_and_freezes_the_retention(host: Host) -> None:
    good(host.backup("run", "faults"))
    before = [backup["id"] for backup in host.backups("faults")]
    began = time.time()
    try:
        host.sql("TRUNCATE big, small", "faults")
        refused(host.backup("run", "faults"), "quarantine", "quayside-backup accept faults")
    finally:
        host.sql("INSERT INTO small SELECT n, 'note ' || n FROM generate_series(1, 20000) n", "faults")
        host.sql(
            "INSERT INTO big SELECT n, decode(string_agg(md5(random()::text), ''), 'hex') "
            "FROM generate_series(1, 500) n, generate_series(1, 500) GROUP BY n",
            "faults",
        )
    newest = host.backups("faults")[-1]
    assert newest["quarantine"]
    assert not newest["verified"]
    assert "QUARANTINED" in host.backup("list", "faults").out
    assert host.failures(began, "faults"), "nobody was told"
    assert host.backup("status").code == 1
    frozen = good(host.backup("rotate", "faults", "--json")).json
    assert newest["id"] in frozen["frozen"]
    assert frozen["removed"] == []
    assert {backup["id"] for backup in host.backups("faults")} >= {*before}
    refused(host.backup("restore", "faults", newest["id"], "--check"), "quarantine", "force")
    good(host.backup("accept", "faults", newest["id"]))
    assert host.backups("faults")[-1]["verified"]
    refused(host.backup("accept", "faults", newest["id"]), "not in quarantine")
    host.shell(f"rm -r {ROOT}/faults/{newest['id']}")


@both
def test_only_some_tables_say_so_and_are_not_taken_for_the_whole(host: Host) -> None:
    backup = back_up(host, "managed")
    manifest = host.manifest("managed", backup["id"])
    assert backup["partial"]
    assert (manifest["include"], manifest["exclude"]) == (["public.*"], ["public.audit_log"])
    assert [table["name"] for table in manifest["tables"]] == ["customer"]
    refused(host.backup("restore", "managed"), "it holds only some of the tables")
    refused(host.backup("restore", "managed", backup["id"]), "tables")


def test_what_a_managed_server_denies_is_said_and_the_rest_is_backed_up() -> None:
    for host in HOSTS:
        backup = back_up(host, "managed")
        assert "PASSWORD" not in host.shell(f"cat {ROOT}/managed/{backup['id']}/globals.sql")
        assert any("password" in note for note in backup["notes"]), backup["notes"]
        # Its drill is on the host's own server, where the role may not even create a database.
        good(host.run("systemctl", "start", "quayside-backup-drill@managed.service"))
        assert host.backups("managed")[-1]["proven"]
    DEBIAN12.sql("REVOKE SELECT ON pg_catalog.pg_auth_members FROM PUBLIC", "managed")
    try:
        for host in HOSTS:
            backup = back_up(host, "managed")
            assert [file["name"] for file in host.manifest("managed", backup["id"])["files"]] == ["dump.pgc"]
            assert any("globals" in note or "roles" in note for note in backup["notes"]), backup["notes"]
    finally:
        DEBIAN12.sql("GRANT SELECT ON pg_catalog.pg_auth_members TO PUBLIC", "managed")
