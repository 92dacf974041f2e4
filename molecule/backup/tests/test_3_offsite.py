# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Copies at three kinds of places, and what is encrypted before it goes there."""

from __future__ import annotations

import time

from hosts import KEYS, ROOT, SERVICES, Host, back_up, both, good, newest, playbook, refused

TARGETS = ("s3", "vault", "disk")
CUT = "to 172.30.12.30 blackhole"


def copied(host: Host, name: str, target: str) -> list[str]:
    return [backup["id"] for backup in host.backups(name, "--from", target)]


@both
def test_a_copy_at_each_target_is_the_backup_byte_for_byte(host: Host) -> None:
    backup = back_up(host, "shop")
    assert {copy["target"]: copy["problem"] for copy in backup["copies"]} == dict.fromkeys(TARGETS, "")
    digest = {backup["sha256"]}
    assert host.shell(f"sha256sum /mnt/second-disk/shop/{backup['id']}/dump.pgc").split()[0] in digest
    vault = SERVICES.shell(f"sha256sum /srv/vault/files/{host.name}/shop/{backup['id']}/dump.pgc").split()[0]
    assert vault in digest
    code = (
        "import boto3, hashlib, sys; print(hashlib.sha256(boto3.client('s3', endpoint_url='http://127.0.0.1:9000', "
        "region_name='us-east-1', aws_access_key_id='x', aws_secret_access_key='x').get_object(Bucket='copies', "
        f"Key='shop/{host.name}/shop/{backup['id']}/dump.pgc')['Body'].read()).hexdigest())"
    )
    assert SERVICES.good("/opt/moto/bin/python", "-c", code) in digest
    for target in TARGETS:
        assert copied(host, "shop", target)[-1] == backup["id"]


@both
def test_retention_is_applied_there_too(host: Host) -> None:
    assert len(host.backups("shop")) >= 3
    backup = back_up(host, "shop")
    for target in TARGETS:
        found = copied(host, "shop", target)
        assert len(found) == 2, f"{target}: {found}"
        assert found[-1] == backup["id"]


@both
def test_a_copy_comes_back_when_the_host_has_lost_its_own(host: Host) -> None:
    backup = newest(host)
    for target in TARGETS:
        host.shell(f"rm -r {ROOT}/shop/{backup['id']}")
        good(host.backup("fetch", "shop", backup["id"], "--from", target))
        (found,) = [found for found in host.backups("shop") if found["id"] == backup["id"]]
        assert found["verified"]
        assert found["sha256"] == backup["sha256"]
    host.shell(f"rm -r {ROOT}/shop/{backup['id']}")
    good(host.backup("restore", "shop", backup["id"], "--from", "vault", "--into", "shop_back"))
    assert host.sql("SELECT count(*) FROM pgbench_accounts", "shop_back") == "500000"
    host.sql("DROP DATABASE shop_back")


@both
def test_a_flipped_bit_at_the_target_is_found(host: Host) -> None:
    backup = back_up(host, "shop")
    place = f"/mnt/second-disk/shop/{backup['id']}/dump.pgc"
    host.shell(f"rm -r {ROOT}/shop/{backup['id']}")
    flip = (
        "f = open(sys.argv[1], 'r+b'); f.seek(9999); b = f.read(1)[0]; f.seek(9999); f.write(bytes([b ^ 1])); f.close()"
    )
    host.good("python3", "-c", f"import sys; {flip}", place)
    refused(host.backup("fetch", "shop", backup["id"], "--from", "disk"), backup["id"])
    assert backup["id"] not in [found["id"] for found in host.backups("shop")]
    refused(host.backup("restore", "shop", backup["id"], "--from", "disk", "--into", "shop_bad"))
    assert "shop_bad" not in host.sql("SELECT datname FROM pg_database")
    # The others are as they were.
    good(host.backup("fetch", "shop", backup["id"], "--from", "s3"))
    host.shell(f"rm -r /mnt/second-disk/shop/{backup['id']}")


@both
def test_a_copy_that_fails_keeps_the_local_one_fails_the_run_and_is_made_up_for(host: Host) -> None:
    began = time.time()
    host.shell("mv /mnt/second-disk/shop /mnt/aside && touch /mnt/second-disk/shop")
    try:
        refused(host.backup("run", "shop"), "the copy to disk failed")
    finally:
        host.shell("rm /mnt/second-disk/shop && mv /mnt/aside /mnt/second-disk/shop")
    failed = host.backups("shop")[-1]
    assert failed["verified"]
    assert {copy["target"] for copy in failed["copies"] if not copy["problem"]} == {"s3", "vault"}
    (told,) = host.failures(began, "shop")
    assert "the copy to disk failed" in told
    assert host.backup("status").code == 1
    back_up(host, "shop")
    assert failed["id"] in copied(host, "shop", "disk"), "what could not be copied is copied next time"
    (found,) = [found for found in host.backups("shop") if found["id"] == failed["id"]]
    assert not [copy for copy in found["copies"] if copy["problem"]]


@both
def test_no_byte_of_what_is_encrypted_is_left_in_the_open(host: Host) -> None:
    backup = back_up(host, "sealed")
    folder = f"{ROOT}/sealed/{backup['id']}"
    assert host.shell(f"ls {folder}").split() == ["dump.pgc.age", "globals.sql.age", "manifest.json"]
    assert host.shell(f"head -c 21 {folder}/dump.pgc.age") == "age-encryption.org/v1"
    assert (
        host.run("grep", "-rlaE", "plaint3xt|PGDMP", f"{ROOT}/sealed", "/mnt/sealed-disk", "/tmp", "/var/tmp").out == ""
    )
    assert (
        host.run("grep", "-rlE", "AGE-SECRET-KEY-1[0-9A-Z]{40}", "/etc", "/root", "/var/backups", "/usr/local").out
        == ""
    )
    manifest = host.manifest("sealed", backup["id"])
    assert manifest["recipients"] == [(KEYS / "recipient.txt").read_text().strip()]
    assert good(host.backup("verify", "sealed", backup["id"])).code == 0


@both
def test_without_age_nothing_is_dumped_at_all(host: Host) -> None:
    before = host.look("sealed").entries
    host.shell("mv /usr/bin/age /usr/bin/age-aside")
    try:
        refused(host.backup("run", "sealed"), "age")
    finally:
        host.shell("mv /usr/bin/age-aside /usr/bin/age")
    assert host.look("sealed").entries == before
    assert host.run("grep", "-rla", "plaint3xt", ROOT, "/mnt").out == ""


@both
def test_an_encrypted_backup_is_restored_with_the_identity_and_only_with_it(host: Host) -> None:
    backup = back_up(host, "sealed")
    refused(host.backup("restore", "sealed"), "identity")
    for name in ("identity", "stranger"):
        host.write(f"/dev/shm/{name}.txt", (KEYS / f"{name}.txt").read_text())
    try:
        refused(host.backup("restore", "sealed", "--identity", "/dev/shm/stranger.txt"))
        refused(host.backup("restore", "sealed", "--identity", "/dev/shm/nowhere.txt"), "/dev/shm/nowhere.txt")
        host.sql("DELETE FROM secret WHERE id > 10", "sealed")
        good(host.backup("drill", "sealed", backup["id"], "--identity", "/dev/shm/identity.txt"))
        good(host.backup("restore", "sealed", "--identity", "/dev/shm/identity.txt"))
    finally:
        host.shell("rm -f /dev/shm/identity.txt /dev/shm/stranger.txt")
    assert host.sql("SELECT count(*), min(text) FROM secret", "sealed") == "5000|plaint3xt 1"
    assert host.run("grep", "-rla", "plaint3xt", f"{ROOT}/sealed", "/mnt/sealed-disk", "/tmp").out == ""


def test_restore_yml_takes_the_identity_too() -> None:
    for host in (Host(f"debian{n}", f"quayside-backup-debian{n}") for n in (12, 13)):
        host.write("/dev/shm/identity.txt", (KEYS / "identity.txt").read_text())
    try:
        good(playbook("restore.yml", extra={"app": "sealed", "into": "opened", "identity": "/dev/shm/identity.txt"}))
    finally:
        for host in (Host(f"debian{n}", f"quayside-backup-debian{n}") for n in (12, 13)):
            host.shell("rm -f /dev/shm/identity.txt")
            assert host.sql("SELECT count(*) FROM secret", "opened") == "5000"
            host.sql("DROP DATABASE opened")
