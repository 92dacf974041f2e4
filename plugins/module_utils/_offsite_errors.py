# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What rclone's messages mean: what was found and the fix, in one sentence without a secret."""

from __future__ import annotations

import re

from ._offsite import Target

_PREFIX = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (ERROR|NOTICE|CRITICAL)? ?:? ?")
_LIMIT = 200

_KEYSCAN = "add the lines that `ssh-keyscan -p {port} {host}` prints to known_hosts, once you have compared them"
#: The first whose pattern is in the messages; looked for from the particular to the general.
_MEANINGS = (
    (
        r"knownhosts: key is unknown",
        f"the server {{host}} is not among the known hosts; {_KEYSCAN}",
    ),
    (
        r"knownhosts: key mismatch",
        "the server {host} shows another host key than the known ones: it was changed, somebody is in between, or a "
        f"key of another type is listed alone; {_KEYSCAN}",
    ),
    (r"couldn't parse known_hosts_file.*no such file", "known_hosts_file does not exist; name a file of this host"),
    (r"couldn't parse known_hosts", "the known hosts cannot be read; give whole lines as ssh-keyscan prints them"),
    (r"passphrase protected", "key_file is behind a passphrase; use a key without one that is for this alone"),
    (r"failed to read private key file", "key_file cannot be read; name a private key on this host"),
    (r"failed to parse private key", "key_file holds no private key; name the private one, not the .pub"),
    (
        r"unable to authenticate|handshake failed: ssh: (no auth|disconnect)|permission denied \(",
        "the login of {user} failed; check the user, and the key in its authorized_keys or the password",
    ),
    (r"InvalidAccessKeyId|InvalidClientTokenId", "the access_key is not known there; check access_key"),
    (r"SignatureDoesNotMatch|InvalidSignature", "the login failed; check secret_key, and region"),
    (
        r"RequestTimeTooSkewed",
        "this host's clock is wrong by minutes, so that the login fails; set up time synchronization",
    ),
    (r"AuthorizationHeaderMalformed|IllegalLocationConstraint", "the bucket is in another region; set region"),
    (r"NoSuchBucket|bucket does not exist", "the bucket is missing; create it there, or correct bucket"),
    (r"EntityTooLarge|TooManyParts|too many parts", "a part or file is larger than it takes; lower max_parts"),
    (
        r"AccessDenied|Forbidden|status code: 403|status code: 401|Unauthorized",
        "it denies access; let these keys list, read, write and delete below the prefix",
    ),
    (r"x509|certificate", "its TLS certificate is not trusted by this host; correct endpoint, or install its CA"),
    (
        r"HTTP response to HTTPS|first record does not look like a TLS",
        "it does not speak TLS; check endpoint's http or https",
    ),
    (r"no such host|server misbehaving|name resolution", "its name is not known to the DNS; check the name"),
    (r"connection refused", "it refused the connection; check the address and port, and that it runs"),
    (r"network is unreachable|no route to host", "there is no route to it; check the address and the network"),
    (
        r"no space left|file too big for remaining|quota|InsufficientStorage|status code: 507|StorageFull",
        "there is no space left there; make room, or lower keep of this target",
    ),
    (r"permission denied|read-only file system|SSH_FX_PERMISSION", "it may not be written there; give it the right to"),
    (
        r"i/o timeout|deadline exceeded|timed? ?out|Timeout|SlowDown",
        "it did not answer within {timeout} s; check the network, or raise timeout",
    ),
    (
        r"connection lost|connection reset|broken pipe|use of closed|unexpected EOF|handshake failed: EOF|: EOF",
        "the connection was lost; check the network, and that the server takes such a size",
    ),
    (
        r'sftp: "Failure"|SSH_FX_FAILURE',
        "the server failed without a reason, mostly for want of space or a quota; look there",
    ),
    (r"directory not found|object not found|no such file", "what was looked for is not there; check the path"),
)


def explain(target: Target, messages: str, status: int) -> str:
    """One sentence: the target, what was found, the fix."""
    found = _meaning(target, messages, status)
    return f"{target.label}: {found}."


def _meaning(target: Target, messages: str, status: int) -> str:
    if status < 0:
        return f"rclone was ended by signal {-status}; nothing that is not complete counts, run it again"
    if target.type == "s3" and "directory not found" in messages:
        messages = "NoSuchBucket"
    for pattern, sentence in _MEANINGS:
        if re.search(pattern, messages, re.IGNORECASE):
            known = {key: target.settings.get(key, "") for key in ("host", "port", "user")}
            return sentence.format(**known, timeout=target.timeout)
    lines = [_PREFIX.sub("", line).strip() for line in messages.splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if line.startswith("Failed")), lines[-1] if lines else "")
    return f"rclone says: {scrub(target, said)[:_LIMIT].rstrip('. ')}" if said else f"rclone ended with status {status}"


def scrub(target: Target, text: str) -> str:
    """The text without the target's secrets."""
    for secret in target.secrets:
        text = text.replace(secret, "***")
    return text
