# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""After all of it no secret is where it should not be."""

from __future__ import annotations

from hosts import ROOT, SENTINEL, Host, both


@both
def test_no_secret_in_the_journal_in_units_in_logs_or_in_temporary_files(host: Host) -> None:
    assert SENTINEL not in host.shell("journalctl --no-pager")
    places = ["/var/log", "/var/lib/systemd", "/run/systemd", "/tmp", "/var/tmp", "/etc/systemd", "/usr/local", ROOT]
    assert host.run("grep", "-rlaF", SENTINEL, *places).out == ""
    found = set(host.run("grep", "-rlF", SENTINEL, "/etc").out.split())
    # The second is the tests' own.
    assert found == {"/etc/quayside/backup.json", "/etc/pgbouncer/pgbouncer.ini"}
    assert "s3ntinel" not in host.shell("cat /var/lib/prometheus/node-exporter/*.prom")
