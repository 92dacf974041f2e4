# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._certbot import (
    Lineage,
    Source,
    Step,
    describe,
    make_plan,
    parse_lineage,
)
from ansible_collections.quayside.web.plugins.module_utils._certbot_errors import (
    explain_failure,
    is_about_a_nonce,
    is_about_the_server,
    unmask,
)
from ansible_collections.quayside.web.plugins.module_utils._certbot_wanted import (
    Certificate,
    CertificateError,
    check_dns,
    parse_certificates,
)

NOW = 1_800_000_000.0
SOURCE = Source("https://acme.test/dir", "/var/lib/quayside/acme")
SHOP = Certificate("shop", ("shop.test", "www.shop.test"))
GOOD = {
    "domains": frozenset(SHOP.domains),
    "not_after": NOW + 86400,
    "server": SOURCE.directory_url,
    "authenticator": "webroot",
    "webroots": frozenset({SOURCE.webroot}),
}
ISSUE = Step(SHOP, "issue", ("there is none",))

RENEWAL = """\
# renew_before_expiry = 30 days
version = 2.1.0
cert = /etc/letsencrypt/live/shop/cert.pem
# Options used in the renewal process
[renewalparams]
account = 0a1b
authenticator = webroot
webroot_path = /var/lib/quayside/acme,
server = https://acme.test/dir
key_type = ecdsa
[[webroot_map]]
shop.test = /var/lib/quayside/acme
www.shop.test = /srv/old
"""
X509 = """\
X509v3 Subject Alternative Name:
    DNS:shop.test, DNS:WWW.shop.test
notAfter=Jan 15 08:00:00 2027 GMT
"""


@pytest.mark.parametrize(
    ("changes", "action", "reasons"),
    [
        ({}, None, ()),
        ({"domains": frozenset({"shop.test"})}, "reissue", ("adds www.shop.test",)),
        (
            {"domains": frozenset({"shop.test", "old.test"})},
            "reissue",
            ("adds www.shop.test and drops old.test",),
        ),
        ({"server": "https://staging.test/dir"}, "reissue", ("comes from https://staging.test/dir",)),
        ({"webroots": frozenset({"/srv/old"})}, "reissue", ("is renewed below /srv/old",)),
        ({"authenticator": "nginx"}, "reissue", ("is renewed by nginx",)),
        ({"not_after": NOW - 1}, "reissue", ("has expired",)),
        ({"not_after": None}, None, ()),
        ({"domains": None}, "issue", ("there is none",)),
    ],
)
def test_a_certificate_is_reissued_only_for_a_reason(
    changes: dict[str, Any], action: str | None, reasons: tuple[str, ...]
) -> None:
    steps = make_plan([SHOP], {"shop": Lineage(**{**GOOD, **changes})}, SOURCE, NOW)
    assert [(step.action, step.reasons) for step in steps] == ([(action, reasons)] if action else [])


def test_a_missing_certificate_is_issued() -> None:
    assert make_plan([SHOP], {}, SOURCE, NOW) == (ISSUE,)


def test_the_order_of_names_is_no_difference() -> None:
    swapped = Certificate("shop", tuple(reversed(SHOP.domains)))
    assert make_plan([swapped], {"shop": Lineage(**GOOD)}, SOURCE, NOW) == ()


def test_certbot_gets_all_names_and_is_forced_only_to_reissue() -> None:
    argv = ISSUE.argv(SOURCE)
    assert "--force-renewal" not in argv
    assert "--register-unsafely-without-email" in argv
    assert [argv[at + 1] for at, argument in enumerate(argv) if argument == "-d"] == list(SHOP.domains)
    argv = Step(SHOP, "reissue", ()).argv(Source(SOURCE.directory_url, SOURCE.webroot, "ops@shop.test"))
    assert "--force-renewal" in argv
    assert argv[argv.index("--email") + 1] == "ops@shop.test"
    assert "--register-unsafely-without-email" not in argv


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"name": "", "domains": ["a.test"]}, "Certificate ''"),
        ({"name": "../x", "domains": ["a.test"]}, "Certificate '../x'"),
        ({"name": "x", "domains": []}, "has no domains"),
        ({"name": "x", "domains": ["*.a.test"]}, "wildcard"),
        ({"name": "x", "domains": ["localhost"]}, "'localhost' is not a domain name"),
        ({"name": "x", "domains": ["a_b.test"]}, "'a_b.test' is not a domain name"),
        ({"name": "x", "domains": ["-d.test"]}, "'-d.test' is not a domain name"),
        ({"name": "x", "domains": ["bücher.test"]}, "xn--"),
        ({"name": "x", "domains": ["a" * 64 + ".test"]}, "is not a domain name"),
    ],
)
def test_a_bad_certificate_is_refused_in_one_sentence(item: dict[str, Any], told: str) -> None:
    with pytest.raises(CertificateError) as error:
        parse_certificates([item])
    assert told in str(error.value)


def test_names_of_certificates_are_unique() -> None:
    with pytest.raises(CertificateError, match="listed twice"):
        parse_certificates([{"name": "x", "domains": ["a.test"]}] * 2)


def test_domains_are_normalised() -> None:
    found = parse_certificates([{"name": "x", "domains": ["A.test.", "a.test", "b.test"]}])
    assert found == (Certificate("x", ("a.test", "b.test")),)


def test_reading_what_certbot_and_openssl_wrote() -> None:
    assert parse_lineage(RENEWAL, X509) == Lineage(
        domains=frozenset({"shop.test", "www.shop.test"}),
        not_after=1_800_000_000.0,
        server="https://acme.test/dir",
        authenticator="webroot",
        webroots=frozenset({"/var/lib/quayside/acme", "/srv/old"}),
        account="0a1b",
    )
    unreadable = parse_lineage(RENEWAL.partition("[[webroot_map]]")[0], "")
    assert unreadable.domains is None
    assert unreadable.not_after is None
    assert unreadable.webroots == {"/var/lib/quayside/acme"}


def test_the_diff_names_both_servers() -> None:
    lineage = Lineage(**{**GOOD, "server": "https://staging.test/dir"})
    diff = describe([SHOP], {"shop": lineage}, SOURCE)
    assert diff["before"] == "shop: shop.test www.shop.test (https://staging.test/dir)\n"
    assert diff["after"] == "shop: shop.test www.shop.test (https://acme.test/dir)\n"
    assert describe([SHOP], {}, SOURCE)["before"] == ""


CHALLENGE = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for shop.test and www.shop.test

Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: www.shop.test
  Type:   unauthorized
  Detail: 203.0.113.9: Invalid response from http://www.shop.test/.well-known/acme-challenge/x: 404

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.

Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org.
"""


@pytest.mark.parametrize(
    ("said", "answer", "fix"),
    [
        (
            CHALLENGE,
            "www.shop.test: unauthorized: 203.0.113.9: Invalid response from "
            "http://www.shop.test/.well-known/acme-challenge/x: 404;",
            "port 80",
        ),
        (
            "Saving debug log to x\nAn unexpected error occurred:\nrequests.exceptions.ConnectionError: HTTPSConnection"
            "Pool(host='acme.test', port=443): Max retries exceeded with url: /dir (Caused by NewConnectionError("
            "'<urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno -2] "
            "Name or service not known'))\nAsk for help",
            "/dir: Failed to establish a new connection: [Errno -2] Name or service not known;",
            "reaches it",
        ),
        (
            "An unexpected error occurred:\nrequests.exceptions.SSLError: HTTPSConnectionPool(host='acme.test'): "
            "Max retries exceeded with url: /dir (Caused by SSLError(SSLCertVerificationError(1, '[SSL: "
            "CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer (_ssl.c:992)')))",
            "unable to get local issuer (_ssl.c:992);",
            "CA file",
        ),
        (
            "An unexpected error occurred:\nValueError: Requesting acme.test/dir: Connection refused\n",
            "/dir: Requesting acme.test/dir: Connection refused;",
            "reaches it",
        ),
        (
            "An unexpected error occurred:\nacme.errors.ClientError: <Response [404]>\n",
            "<Response [404]>;",
            "check the",
        ),
        (
            "An unexpected error occurred:\nError creating new order :: too many certificates already issued\n",
            "too many certificates already issued;",
            "staging",
        ),
        ("Another instance of Certbot is already running.", "already running;", "run again"),
        ("", "certbot gave no reason;", "letsencrypt.log"),
    ],
)
def test_a_failure_is_one_sentence_with_the_fix(said: str, answer: str, fix: str) -> None:
    sentence = explain_failure(ISSUE, SOURCE, said)
    assert sentence.startswith(
        "Certificate 'shop' (shop.test, www.shop.test) could not be issued by https://acme.test/dir: "
    )
    assert answer in sentence
    assert fix in sentence
    assert "\n" not in sentence


def test_a_name_server_that_refuses_the_key_is_told() -> None:
    said = (
        "Account registered.\nRequesting a certificate for *.shop.test\n"
        "Saving debug log to /var/log/letsencrypt/letsencrypt.log\n"
        "Encountered exception during recovery: certbot.errors.PluginError: "
        "Encountered error when making query: refused\n"
        "Encountered error when making query: refused\n"
        "Ask for help or search for solutions at https://community.letsencrypt.org.\n"
    )
    step = Step(Certificate("shop", ("*.shop.test",), "rfc2136"), "issue", ())
    assert explain_failure(step, SOURCE, said) == (
        "Certificate 'shop' (*.shop.test) could not be issued by https://acme.test/dir: Encountered error when making "
        "query: refused; check that the credentials of rfc2136 may change the zone, or raise its propagation time."
    )
    assert is_about_the_server(said), "the authority was not asked to prove anything"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "An unexpected error occurred:\nAttributeError: can't set attribute\n",
            "urn:ietf:params:acme:error:rateLimited :: 5",
        ),
        ("An unexpected error occurred:\nConnectionError: no\n", "ConnectionError: no"),
    ],
    ids=["masked", "said"],
)
def test_an_answer_that_certbot_2_1_hides_is_taken_from_its_log(said: str, told: str) -> None:
    log = (
        "acme.messages.Error: an older one\nacme.messages.Error: urn:ietf:params:acme:error:rateLimited :: 5\n\nDuring"
    )
    assert told in unmask(said, log)
    assert unmask(said, "") == said


def test_names_are_proved_over_dns_where_that_is_asked_for() -> None:
    source = Source(SOURCE.directory_url, SOURCE.webroot, dns={"ovh": ("/root/ovh.ini", 30)})
    argv = Step(Certificate("shop", ("*.shop.test",), "ovh"), "issue", ()).argv(source)
    assert "--webroot" not in argv
    assert argv[argv.index("--authenticator") + 1] == "dns-ovh"
    assert argv[argv.index("--dns-ovh-credentials") + 1] == "/root/ovh.ini"
    assert argv[argv.index("--dns-ovh-propagation-seconds") + 1] == "30"


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"key_type": "rsa"}, ["--key-type", "rsa"]),
        ({"profile": "tlsserver"}, ["--preferred-profile", "tlsserver"]),
        ({"secrets_file": "/run/eab.ini"}, ["--config", "/run/eab.ini"]),
    ],
    ids=["type of key", "profile", "external account"],
)
def test_what_else_certbot_gets(changes: dict[str, Any], wanted: list[str]) -> None:
    argv = ISSUE.argv(Source(SOURCE.directory_url, SOURCE.webroot, **changes))
    assert wanted[1] == argv[argv.index(wanted[0]) + 1]


@pytest.mark.parametrize(
    ("lineage", "reason"),
    [
        ({"key_type": "rsa"}, "has a key of type rsa"),
        ({"profile": "shortlived"}, "has the profile shortlived"),
        ({"authenticator": "dns-ovh"}, "is renewed by dns-ovh"),
        ({"account_lost": True}, "has lost the account that renews it"),
    ],
)
def test_another_kind_of_certificate_is_reissued(lineage: dict[str, Any], reason: str) -> None:
    (step,) = make_plan([SHOP], {"shop": Lineage(**{**GOOD, **lineage})}, SOURCE, NOW)
    assert step.reasons == (reason,)


@pytest.mark.parametrize(
    ("dns", "told"),
    [
        ({}, "'shop' is proved by ovh, which letsencrypt_dns gives no credentials for"),
        ({"ovh": {}}, "ovh has no credentials"),
        ({"ohv": {"credentials": {}}}, "'ohv' is unknown"),
        ({"ovh": {"credentials": {"key": "a\nb"}}}, "the credential key is not on one line"),
        ({"ovh": {"credentials": {"key": "a"}, "propagation": "1m"}}, "propagation is '1m'; accepted: seconds"),
    ],
    ids=["none", "empty", "unknown plugin", "two lines", "no seconds"],
)
def test_a_plugin_needs_its_credentials(dns: dict[str, Any], told: str) -> None:
    with pytest.raises(CertificateError, match=told):
        check_dns([Certificate("shop", ("shop.test",), "ovh")], dns)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("requests.exceptions.ConnectionError: Max retries exceeded", True),
        ("  Domain: shop.test\n  Type:   connection\n  Detail: 192.0.2.9: Connection refused\n", False),
        ("Another instance of Certbot is already running.", True),
        ("Domain: a.test\nType: dns\nDetail: NXDOMAIN", False),
        ("urn:ietf:params:acme:error:rateLimited", False),
    ],
)
def test_only_what_the_server_refused_is_remembered(said: str, expected: bool) -> None:
    assert is_about_the_server(said) is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("An unexpected error occurred:\nThe client sent an unacceptable anti-replay nonce :: JWS has one", True),
        ("urn:ietf:params:acme:error:badNonce :: The client sent an unacceptable anti-replay nonce", True),
        ("urn:ietf:params:acme:error:rateLimited :: too many", False),
        ("Domain: a.test\nType: badNonce\nDetail: the page says: bad anti-replay nonce", False),
    ],
)
def test_a_refused_nonce_is_no_refusal(said: str, expected: bool) -> None:
    assert is_about_a_nonce(said) is expected
