# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Keys only, and security upgrades only, over real SSH."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from firewall import HOSTS, run, said

DROPIN = "/etc/ssh/sshd_config.d/00-quayside.conf"
INSTALLERS = "/etc/ssh/sshd_config.d/testbed.conf"


@pytest.fixture(scope="module")
def hardened(ssh: Path, container: Callable[[str], Any]) -> Iterator[subprocess.CompletedProcess[str]]:
    """Hosts that let passwords and root in before."""
    for name in HOSTS:
        shell = container(name)
        shell.check_output(f"cp -p {INSTALLERS} /root/installers.conf")
        shell.check_output(f"sed -i 's/^\\(PasswordAuthentication\\|PermitRootLogin\\) .*/\\1 yes/' {INSTALLERS}")
        shell.check_output("systemctl reload ssh.service")
    yield run(ssh, "hardening.yml")
    for name in HOSTS:
        shell = container(name)
        shell.check_output(
            f"cp -p /root/installers.conf {INSTALLERS} && rm -f {DROPIN} && systemctl reload ssh.service"
        )


def test_the_role_converges_and_stays(ssh: Path, hardened: subprocess.CompletedProcess[str]) -> None:
    assert hardened.returncode == 0, said(hardened)[-3000:]
    assert said(run(ssh, "hardening.yml")).count("changed=0") == len(HOSTS)


def test_only_keys_get_in(host: Any, hardened: subprocess.CompletedProcess[str]) -> None:
    effective = host.check_output("sshd -T").splitlines()
    assert {"passwordauthentication no", "kbdinteractiveauthentication no", "permitrootlogin without-password"} <= {
        line.replace("prohibit-password", "without-password") for line in effective
    }
    assert not host.file("/etc/systemd/system/quayside-sshd-undo.timer").exists


def test_only_security_upgrades_come_by_themselves(host: Any, hardened: subprocess.CompletedProcess[str]) -> None:
    settings = host.check_output("apt-config dump").splitlines()
    origins = [line for line in settings if line.startswith("Unattended-Upgrade::Origins-Pattern:: ")]
    assert [line.split('"')[1] for line in origins] == [
        "origin=Debian,codename=${distro_codename}-security,label=Debian-Security"
    ]
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in settings
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    assert host.service("apt-daily-upgrade.timer").is_enabled


def test_who_has_no_key_is_not_locked_out(host: Any, hardened: subprocess.CompletedProcess[str]) -> None:
    host.check_output(f"mv {DROPIN} /root/dropin; mv /home/deploy/.ssh/authorized_keys /root/keys")
    try:
        failed = host.ansible("quayside.web.sshd_keys_only", "undo_timeout=0", check=False)
    except host.ansible.AnsibleException as error:
        failed = error.result
    finally:
        host.check_output(f"mv /root/dropin {DROPIN}; mv /root/keys /home/deploy/.ssh/authorized_keys")
    assert failed["msg"] == "hardening_sshd would lock out everybody: no account of this host has a key."
