# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._offsite import Target
from ansible_collections.quayside.web.plugins.module_utils._offsite_errors import explain

SFTP = Target(
    "nas",
    "sftp",
    "sftp://backup@nas:2222/srv",
    "/srv",
    {"host": "nas", "port": "2222", "user": "backup"},
    password="s3ntinel",
    timeout=10,
)
S3 = Target("bucket", "s3", "s3://b at https://h", "b", {"secret_access_key": "s3ntinel"})
KNOWN = "NewFs: couldn't connect SSH: ssh: handshake failed: "


# What rclone 1.60 of Debian 12 and 13 wrote in each of these cases.
@pytest.mark.parametrize(
    ("target", "messages", "said"),
    [
        (
            SFTP,
            KNOWN + "knownhosts: key is unknown",
            "not among the known hosts; add the lines that `ssh-keyscan -p 2222 nas`",
        ),
        (SFTP, KNOWN + "knownhosts: key mismatch", "shows another host key"),
        (SFTP, KNOWN + "ssh: unable to authenticate, attempted methods [none password]", "the login of backup failed"),
        (SFTP, KNOWN + "EOF", "the connection was lost"),
        (
            SFTP,
            "couldn't parse known_hosts_file: open /x: no such file or directory",
            "known_hosts_file does not exist",
        ),
        (SFTP, "failed to parse private key file: ssh: this private key is passphrase protected", "without one"),
        (SFTP, "failed to read private key file: open /x: no such file or directory", "key_file cannot be read"),
        (SFTP, 'Failed to copy: Update Create failed: sftp: "Failure" (SSH_FX_FAILURE)', "want of space"),
        (SFTP, "mkdir failed: permission denied", "it may not be written there"),
        (SFTP, "dial tcp 172.18.0.4:999: connect: connection refused", "it refused the connection"),
        (SFTP, "dial tcp 172.18.0.4:22: i/o timeout", "did not answer within 10 s"),
        (S3, "NoSuchBucket: The specified bucket does not exist\n\tstatus code: 404", "the bucket is missing"),
        (S3, "ERROR : : error listing: directory not found", "the bucket is missing"),
        (S3, "InvalidAccessKeyId: x\n\tstatus code: 403", "check access_key"),
        (S3, "SignatureDoesNotMatch: x\n\tstatus code: 403", "check secret_key"),
        (S3, "AccessDenied: Access Denied\n\tstatus code: 403", "it denies access"),
        (S3, "dial tcp: lookup nowhere.invalid on 127.0.0.11:53: no such host", "not known to the DNS"),
        (S3, "http: server gave HTTP response to HTTPS client", "does not speak TLS"),
        (S3, "x509: certificate signed by unknown authority", "certificate is not trusted"),
        (S3, "preallocate: file too big for remaining disk space", "no space left there"),
        (
            S3,
            "2026/11/21 11:00:00 Failed to copyto: it was odd: s3ntinel.",
            "rclone says: Failed to copyto: it was odd: ***.",
        ),
        (S3, "", "rclone ended with status 1"),
    ],
)
def test_what_rclone_says_is_explained(target: Target, messages: str, said: str) -> None:
    sentence = explain(target, messages, 1)
    assert said in sentence
    assert sentence.startswith(f"Offsite target {target.name} ({target.place}): ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert "s3ntinel" not in sentence


def test_a_kill_is_named() -> None:
    assert "signal 9" in explain(S3, "Failed to copy: connection refused", -9)
