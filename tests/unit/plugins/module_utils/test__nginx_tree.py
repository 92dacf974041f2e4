# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What the nginx tree should become."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._nginx_tree import (
    REVISION_FILE,
    Host,
    apply_gates,
    diff_of,
    first_error,
    make_plan,
    named,
    owned,
    parse_versions,
    revision_of,
    shadowed_name,
)

SITES = ["quayside/sites/*.conf"]
BASE = ["nginx.conf", "quayside/*.conf"]
HOST = Host(nginx=(1, 26, 3), openssl=(3, 5, 1), ipv6=True)


def planned(live: dict[str, str], files: dict[str, str], owns: list[str]) -> dict[str, str]:
    """The live tree after a run."""
    return make_plan(live, files, owns, HOST).tree


@pytest.mark.parametrize(
    ("output", "nginx", "openssl"),
    [
        ("nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.15 3 Sep 2024\n", (1, 22, 1), (3, 0, 15)),
        ("nginx version: nginx/1.18.0 (Ubuntu)\nbuilt with OpenSSL 3.0.2 15 Mar 2022\n", (1, 18, 0), (3, 0, 2)),
        (
            "nginx version: nginx/1.26.3\nbuilt with OpenSSL 3.4.0 1 Oct 2024 (running with OpenSSL 3.5.1 1 Jul 2025)",
            (1, 26, 3),
            (3, 5, 1),
        ),
        ("nginx version: openresty/1.25.3.1\n", (1, 25, 3, 1), None),
        ("", None, None),
    ],
)
def test_versions(output: str, nginx: tuple[int, ...] | None, openssl: tuple[int, ...] | None) -> None:
    assert parse_versions(output) == (nginx, openssl)


@pytest.mark.parametrize(
    ("terms", "host", "kept"),
    [
        ("ipv6", Host(ipv6=True), True),
        ("ipv6", Host(ipv6=False), False),
        ("nginx>=1.25.1", Host(nginx=(1, 25, 1)), True),
        ("nginx>=1.25.1", Host(nginx=(1, 26)), True),
        ("nginx>=1.25.1", Host(nginx=(1, 25, 0)), False),
        ("nginx<1.25.1", Host(nginx=(1, 9, 15)), True),
        ("nginx<1.25.1", Host(nginx=(1, 25, 1)), False),
        ("openssl>=3.5", Host(openssl=(3, 5, 0)), True),
        ("openssl>=3.5", Host(openssl=(3, 0, 17)), False),
        ("ipv6 nginx<1.25.1", Host(nginx=(1, 22, 1), ipv6=True), True),
        ("ipv6 nginx<1.25.1", Host(nginx=(1, 22, 1), ipv6=False), False),
        ("nginx>=1.25.1", Host(), False),
        ("nginx<1.25.1", Host(), True),
        ("openssl>=3.5", Host(), False),
    ],
)
def test_gates(terms: str, host: Host, kept: bool) -> None:
    text = apply_gates(f"before;\n    http2 on; #@ {terms}\nafter;\n", host)
    assert text == ("before;\n    http2 on;\nafter;\n" if kept else "before;\nafter;\n")


@pytest.mark.parametrize("term", ["nginx=1.25", "nginx>=new", "apache>=2", "ipv4", "false nginx>="])
def test_an_unknown_gate_is_refused(term: str) -> None:
    with pytest.raises(ValueError, match=r"gate '.*' is unknown; write ipv6, nginx<1.25.1"):
        apply_gates(f"http2 on; #@ {term}\n", HOST)


def test_an_ordinary_comment_is_not_a_gate() -> None:
    text = "# listen 443;\nreturn 200; # fine\nset $a '#@b';\n"
    assert apply_gates(text, HOST) == text


@pytest.mark.parametrize(
    ("path", "owns", "answer"),
    [
        ("nginx.conf", BASE, True),
        ("quayside/http.conf", BASE, True),
        ("quayside/sites/shop.conf", BASE, False),
        ("quayside/sites/shop.conf", SITES, True),
        ("quayside/http.conf", SITES, False),
        (REVISION_FILE, BASE, False),
    ],
)
def test_ownership(path: str, owns: list[str], answer: bool) -> None:
    assert owned(path, owns) is answer


def test_a_first_run_writes_everything() -> None:
    plan = make_plan({}, {"nginx.conf": "http {}", "quayside/http.conf": "gzip on;"}, BASE, HOST)
    assert plan.written == ("nginx.conf", "quayside/http.conf", REVISION_FILE)
    assert plan.removed == ()
    assert plan.revision in plan.tree[REVISION_FILE]


def test_a_second_run_changes_nothing() -> None:
    files = {"quayside/sites/shop.conf": "server {}"}
    tree = planned({"nginx.conf": "http {}\n"}, files, SITES)
    assert not make_plan(tree, files, SITES, HOST).changes_files


def test_each_run_leaves_the_other_ones_files() -> None:
    tree = planned({}, {"nginx.conf": "http {}", "quayside/old.conf": "x"}, BASE)
    tree = planned(tree, {"quayside/sites/shop.conf": "server {}", "quayside/sites/blog.conf": "server {}"}, SITES)
    plan = make_plan(tree, {"nginx.conf": "http {}"}, BASE, HOST)
    assert plan.removed == ("quayside/old.conf",)
    assert {"quayside/sites/shop.conf", "quayside/sites/blog.conf"} <= set(plan.tree)
    plan = make_plan(plan.tree, {"quayside/sites/shop.conf": "server {}"}, SITES, HOST)
    assert plan.removed == ("quayside/sites/blog.conf",)
    assert plan.written == (REVISION_FILE,)


def test_a_changed_file_is_a_new_revision() -> None:
    tree = planned({}, {"nginx.conf": "http {}"}, BASE)
    plan = make_plan(tree, {"nginx.conf": "http { gzip on; }"}, BASE, HOST)
    assert plan.written == ("nginx.conf", REVISION_FILE)
    assert plan.revision != revision_of(tree)


def test_a_revision_file_edited_by_hand_is_written_again() -> None:
    files = {"nginx.conf": "http {}"}
    tree = planned({}, files, BASE) | {REVISION_FILE: "return 200 other;"}
    assert make_plan(tree, files, BASE, HOST).written == (REVISION_FILE,)


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "quayside/../x.conf", "conf.d/other.conf", "quayside/a b.conf", "quayside//x", REVISION_FILE, ""],
)
def test_a_path_that_is_not_ours_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"is not one this module owns; use nginx.conf or"):
        make_plan({}, {path: "x"}, ["**"], HOST)


def test_a_file_outside_the_patterns_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'nginx.conf' matches none of the patterns this run owns: quayside/sites/"):
        make_plan({}, {"nginx.conf": "x"}, SITES, HOST)


def test_the_diff_shows_each_file_but_not_the_revision() -> None:
    live = planned({}, {"quayside/sites/a.conf": "a", "quayside/sites/b.conf": "b"}, SITES)
    plan = make_plan(live, {"quayside/sites/b.conf": "b2", "quayside/sites/c.conf": "c"}, SITES, HOST)
    assert [(d["after_header"], d["before"], d["after"]) for d in diff_of("/etc/nginx", live, plan)] == [
        ("/etc/nginx/quayside/sites/a.conf", "a\n", ""),
        ("/etc/nginx/quayside/sites/b.conf", "b\n", "b2\n"),
        ("/etc/nginx/quayside/sites/c.conf", "", "c\n"),
    ]


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            'nginx: [emerg] unknown directive "foo" in /etc/nginx/x.conf:3\nnginx: configuration file test failed\n',
            'unknown directive "foo" in /etc/nginx/x.conf:3',
        ),
        (
            "2026/11/21 01:00:00 [notice] 7#7: signal\n"
            "2026/11/21 01:00:01 [emerg] 7#7: bind() to 0.0.0.0:80 failed (98: Address already in use)\n",
            "bind() to 0.0.0.0:80 failed (98: Address already in use)",
        ),
        ("2026/11/21 01:00:01 [error] 7#7: *1 connect() failed (111: Connection refused)\n", None),
        ("", None),
    ],
)
def test_nginx_speaks_for_itself(output: str, line: str | None) -> None:
    assert first_error(output) == line


@pytest.mark.parametrize(
    ("tree", "found"),
    [
        ({"a": "server_name shop.test;", "b": "server_name x.test shop.test;"}, True),
        ({"a": "server_name www.shop.test shop.test.example;"}, False),
        ({}, False),
    ],
)
def test_a_shadowed_name_of_ours_is_a_fault(tree: dict[str, str], found: bool) -> None:
    output = 'nginx: [warn] conflicting server name "shop.test" on 0.0.0.0:80, ignored\n'
    expected = "domain shop.test is declared by two servers on 0.0.0.0:80" if found else None
    assert shadowed_name(output, tree) == expected


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            "bad in /etc/nginx/quayside/sites/shop.conf:2",
            'site "shop": bad in /etc/nginx/quayside/sites/shop.conf:2, where it says: many;',
        ),
        ("bad in /etc/nginx/quayside/http.conf:1", "bad in /etc/nginx/quayside/http.conf:1, where it says: gzip on;"),
        ("bad in /etc/nginx/quayside/sites/shop.conf:9", "bad in /etc/nginx/quayside/sites/shop.conf:9"),
        ("bad in /etc/nginx/conf.d/other.conf:1", "bad in /etc/nginx/conf.d/other.conf:1"),
        ("no such certificate", "no such certificate"),
    ],
    ids=["a site", "another file of ours", "past its end", "a file of others", "no file"],
)
def test_a_fault_names_the_site_and_shows_the_line(fault: str, expected: str) -> None:
    tree = {"quayside/sites/shop.conf": "server {\n    many;\n", "quayside/http.conf": "gzip on;\n"}
    assert named(fault, tree) == expected
