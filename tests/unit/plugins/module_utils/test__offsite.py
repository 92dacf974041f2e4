# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._offsite import (
    environment,
    options,
    parse_target,
    parse_targets,
    part_size,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError
from ansible_collections.quayside.web.plugins.module_utils._pg_rotation import Keep

ROOT = "/var/backups/quayside"
S3: dict[str, Any] = {
    "name": "bucket",
    "type": "s3",
    "endpoint": "https://s3.example.com",
    "bucket": "backups",
    "prefix": "web1/",
    "access_key": "AKIA",
    "secret_key": "s3ntinel-s3",
}
SFTP: dict[str, Any] = {
    "name": "nas",
    "type": "sftp",
    "host": "NAS.example.com",
    "port": 2222,
    "user": "backup",
    "password": "s3ntinel-sftp",
    "known_hosts": "nas.example.com ssh-ed25519 AAAA",
    "path": "copies/web1",
}
LOCAL: dict[str, Any] = {"name": "disk", "type": "local", "path": "/mnt/backup/"}
GIB = 1 << 30


def changed(base: dict[str, Any], **keys: object) -> dict[str, Any]:
    return {key: value for key, value in {**base, **keys}.items() if value is not None}


@pytest.mark.parametrize(
    ("entry", "place", "base"),
    [
        pytest.param(S3, "s3://backups/web1 at https://s3.example.com", "backups/web1", id="s3"),
        pytest.param(changed(S3, prefix=None), "s3://backups at https://s3.example.com", "backups", id="whole bucket"),
        pytest.param(
            changed(S3, endpoint=None, region="eu-central-1"),
            "s3://backups/web1 at Amazon eu-central-1",
            "backups/web1",
            id="Amazon",
        ),
        pytest.param(SFTP, "sftp://backup@nas.example.com:2222/~/copies/web1", "copies/web1", id="sftp below home"),
        pytest.param(
            changed(SFTP, path="/srv//x/"), "sftp://backup@nas.example.com:2222/srv/x", "/srv/x", id="sftp anywhere"
        ),
        pytest.param(LOCAL, "/mnt/backup", "/mnt/backup", id="local"),
    ],
)
def test_a_target_is_a_place(entry: dict[str, Any], place: str, base: str) -> None:
    target = parse_target(entry)
    assert (target.place, target.base) == (place, base)
    assert target.path("app", "id") == f"offsite:{base}/app/id"
    assert target.where("app", "id") == f"{place.split(' at ', maxsplit=1)[0]}/app/id"


def test_what_is_null_was_not_given() -> None:
    assert parse_target({**LOCAL, "bucket": None, "keep": None, "timeout": None}) == parse_target(LOCAL)


def test_what_is_not_given_is_that_of_the_database() -> None:
    assert parse_target(LOCAL, Keep(1, 2, 3, 4), 9).keep == Keep(1, 2, 3, 4)
    assert parse_target(LOCAL, Keep(1, 2, 3, 4), 9).minimum == 9
    own = parse_target(changed(LOCAL, keep={"daily": 30}, minimum=1, read_back=False, timeout=30, bandwidth="1.5M"))
    assert (own.keep, own.minimum, own.read_back, own.timeout, own.bandwidth) == (Keep(30), 1, False, 30, "1.5M")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        pytest.param("s3", "not a mapping", id="no mapping"),
        pytest.param({}, "name is missing", id="nothing"),
        pytest.param(changed(LOCAL, name="My disk"), "name of an offsite target 'My disk'", id="name"),
        pytest.param(changed(LOCAL, type="ftp"), "type is 'ftp'; s3, sftp, local are accepted", id="unknown type"),
        pytest.param(changed(LOCAL, type="rsync"), "use sftp", id="rsync"),
        pytest.param(changed(LOCAL, type=None), "type is missing", id="no type"),
        pytest.param(changed(LOCAL, color="red"), "the key 'color' is not known", id="unknown key"),
        pytest.param(changed(LOCAL, bucket="b"), "the key 'bucket' is not known", id="key of another type"),
        pytest.param(changed(LOCAL, keep=[7]), "keep is not a mapping", id="keep no mapping"),
        pytest.param(changed(LOCAL, keep={"daily": -1}), "keep.daily is '-1'", id="negative keep"),
        pytest.param(changed(LOCAL, keep={"hourly": 1}), "unknown key 'hourly'", id="unknown period"),
        pytest.param(changed(LOCAL, minimum=0), "minimum is '0'", id="no minimum"),
        pytest.param(changed(LOCAL, read_back="yes"), "read_back is 'yes'; true or false", id="flag"),
        pytest.param(changed(LOCAL, timeout=4), "from 5 to 3600", id="short timeout"),
        pytest.param(changed(LOCAL, timeout=True), "timeout is 'True'", id="timeout no number"),
        pytest.param(changed(LOCAL, bandwidth="10"), "bandwidth is '10'", id="bandwidth without unit"),
        pytest.param(changed(LOCAL, path=None), "path is missing", id="no path"),
        pytest.param(changed(LOCAL, path="backup"), "an absolute path", id="relative path"),
        pytest.param(changed(LOCAL, path="/mnt/../etc"), "'..' is not accepted", id="path climbs"),
        pytest.param(changed(LOCAL, path="/"), "path is '/'", id="whole disk"),
        pytest.param(changed(LOCAL, path="/mnt/a\nb"), "not one line", id="line break"),
        pytest.param(changed(S3, endpoint=None), "endpoint and region are missing", id="nowhere"),
        pytest.param(changed(S3, endpoint="s3.example.com"), "https://host", id="endpoint without scheme"),
        pytest.param(changed(S3, endpoint="https://k:s@h"), "https://host", id="endpoint with login"),
        pytest.param(changed(S3, bucket=None), "bucket is missing", id="no bucket"),
        pytest.param(changed(S3, bucket="a/b"), "bucket is 'a/b'", id="bucket with prefix"),
        pytest.param(changed(S3, prefix="a/../b"), "'..' is not accepted", id="prefix climbs"),
        pytest.param(changed(S3, secret_key=None), "secret_key is missing", id="no secret_key"),
        pytest.param(changed(S3, access_key=None), "access_key is missing", id="no access_key"),
        pytest.param(changed(S3, max_parts=0), "max_parts is '0'", id="no parts"),
        pytest.param(changed(SFTP, host="sftp://nas"), "host is 'sftp://nas'", id="host is a URL"),
        pytest.param(changed(SFTP, host="-oProxyCommand=x"), "host is", id="host is an option"),
        pytest.param(changed(SFTP, port=0), "port is '0'", id="port"),
        pytest.param(changed(SFTP, user=None), "user is missing", id="no user"),
        pytest.param(changed(SFTP, path="~/x"), "'~' is not accepted", id="tilde"),
        pytest.param(changed(SFTP, password=None), "are both missing", id="no login"),
        pytest.param(changed(SFTP, key_file="/k"), "are both given", id="two logins"),
        pytest.param(changed(SFTP, password=None, key_file="k"), "an absolute path", id="relative key"),
        pytest.param(changed(SFTP, known_hosts=None), "`ssh-keyscan -p 2222 nas.example.com`", id="no host key"),
        pytest.param(changed(SFTP, known_hosts_file="/k"), "are both given", id="two sources of host keys"),
        pytest.param(changed(SFTP, known_hosts=7), "known_hosts is not text", id="host key no text"),
    ],
)
def test_a_target_that_cannot_be_is_refused(entry: object, said: str) -> None:
    with pytest.raises(BackupError) as refused:
        parse_target(entry)
    assert said in str(refused.value)
    assert "s3ntinel" not in str(refused.value)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        pytest.param({"a": 1}, "offsite is not a list", id="no list"),
        pytest.param([LOCAL, changed(LOCAL, path="/mnt/b")], "Two offsite targets are called disk", id="same name"),
        pytest.param([LOCAL, changed(LOCAL, name="b", path="/mnt//backup")], "are the same place", id="same place"),
        pytest.param([S3, changed(S3, name="b", prefix="/web1")], "are the same place", id="same prefix"),
        pytest.param([changed(LOCAL, path=ROOT)], "no second place", id="the repository"),
        pytest.param([changed(LOCAL, path=ROOT + "/app")], "no second place", id="inside the repository"),
        pytest.param([changed(LOCAL, path="/var")], "no second place", id="around the repository"),
    ],
)
def test_targets_that_collide_are_refused(entries: object, said: str) -> None:
    with pytest.raises(BackupError, match=said):
        parse_targets(entries, ROOT)


def test_targets_side_by_side_are_accepted() -> None:
    near = changed(LOCAL, name="near", path=ROOT + "-2")
    assert [target.name for target in parse_targets([S3, SFTP, LOCAL, near], ROOT)] == ["bucket", "nas", "disk", "near"]
    assert parse_targets(None, ROOT) == ()


@pytest.mark.parametrize("entry", [S3, SFTP], ids=["s3", "sftp"])
def test_secrets_are_in_no_repr_and_no_argument(entry: dict[str, Any]) -> None:
    target = parse_target(entry)
    assert "s3ntinel" not in f"{target!r} {options(target)}"
    assert len(target.secrets) == 1


def test_rclone_is_configured_by_its_environment() -> None:
    s3 = environment(parse_target(S3), largest=6 * GIB)
    assert s3["RCLONE_CONFIG_OFFSITE_TYPE"] == "s3"
    assert s3["RCLONE_CONFIG_OFFSITE_SECRET_ACCESS_KEY"] == "s3ntinel-s3"
    assert s3["RCLONE_CONFIG_OFFSITE_CHUNK_SIZE"] == "7M"
    assert s3["RCLONE_CONFIG_OFFSITE_UPLOAD_CONCURRENCY"] == "2"
    sftp = environment(parse_target(SFTP), obscured="0bscured", known_hosts_file="/proc/self/fd/9")
    assert sftp["RCLONE_CONFIG_OFFSITE_PASS"] == "0bscured"
    assert sftp["RCLONE_CONFIG_OFFSITE_KNOWN_HOSTS_FILE"] == "/proc/self/fd/9"
    assert "s3ntinel" not in str(sftp)
    assert environment(parse_target(LOCAL)) == {"RCLONE_CONFIG_OFFSITE_TYPE": "local"}


@pytest.mark.parametrize(
    ("size", "parts", "mebibytes"),
    [(0, 1000, 5), (5000 << 20, 1000, 5), ((5000 << 20) + 1, 1000, 6), (100 * GIB, 1000, 103), (100 * GIB, 10000, 11)],
)
def test_parts_are_as_many_as_fit(size: int, parts: int, mebibytes: int) -> None:
    assert part_size(size, parts) == mebibytes
    assert mebibytes * parts << 20 >= size


def test_what_fits_into_no_parts_is_refused() -> None:
    with pytest.raises(BackupError, match="raise max_parts"):
        part_size(6000 * GIB, 1000)


def test_large_parts_are_sent_one_by_one() -> None:
    env = environment(parse_target(S3), largest=100 * GIB)
    assert env["RCLONE_CONFIG_OFFSITE_UPLOAD_CONCURRENCY"] == "1"
