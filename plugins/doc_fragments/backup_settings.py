# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is the same in the documentation of the modules about backups."""

from __future__ import annotations

from textwrap import indent

_KEEP = """daily:
  description: Number of days.
  type: int
  default: 7
weekly:
  description: Number of ISO weeks.
  type: int
  default: 4
monthly:
  description: Number of months.
  type: int
  default: 6
yearly:
  description: Number of years.
  type: int
  default: 0
"""

_TARGET = r"""name:
  description: What it is called in results and messages.
  type: str
  required: true
type:
  description: C(s3), C(sftp) or C(local).
  type: str
  required: true
minimum:
  description: Copies that always stay; by default as many as backups of the database.
  type: int
read_back:
  description: Read each copy back and compare its sha256; true by default.
  type: bool
timeout:
  description: Seconds without a byte after which a transfer has failed; 60 by default.
  type: int
bandwidth:
  description: Most bytes a second, such as C(10M); no limit by default.
  type: str
path:
  description: The folder, of V(sftp) and V(local).
  type: str
mounted:
  description: Of V(local), refuse to write when no other file system is mounted there; false by default.
  type: bool
endpoint:
  description: Of V(s3), the provider's URL; not needed for Amazon.
  type: str
region:
  description: Of V(s3), the region.
  type: str
bucket:
  description: Of V(s3), a bucket that exists.
  type: str
prefix:
  description: Of V(s3), a folder in the bucket.
  type: str
access_key:
  description: Of V(s3).
  type: str
secret_key:
  description: Of V(s3).
  type: str
storage_class:
  description: Of V(s3), such as C(STANDARD_IA).
  type: str
path_style:
  description: Of V(s3), the bucket in the path and not in the host name; true by default.
  type: bool
max_parts:
  description: Of V(s3), the most parts that the provider takes for one object; 1000 by default.
  type: int
host:
  description: Of V(sftp), the server.
  type: str
port:
  description: Of V(sftp), 22 by default.
  type: int
user:
  description: Of V(sftp), the user.
  type: str
password:
  description: Of V(sftp), in place of a key.
  type: str
key_file:
  description: Of V(sftp), the path of a private key on the host, without passphrase.
  type: str
known_hosts:
  description: Of V(sftp), the lines that C(ssh-keyscan) prints, as text or as a list.
  type: raw
known_hosts_file:
  description: Of V(sftp), the path of a file with them on the host.
  type: str
keep:
  description: Retention there; by default that of the database.
  type: dict
  suboptions:
""" + indent(_KEEP, " " * 4)


class ModuleDocFragment:
    """The settings of a host's backups, and parts of them that modules have by themselves."""

    # Annotated, since ansible-test reads what is assigned without a type, and can't where it is put together.
    KEEP: str = "options:\n  keep:\n    type: dict\n    suboptions:\n" + indent(_KEEP, " " * 6)

    #: A target, of the modules that read copies; and the same by the name that M(quayside.web.pg_restore) has for it.
    OFFSITE: str = "options:\n  offsite:\n    type: dict\n    suboptions:\n" + indent(_TARGET, " " * 6)
    FROM: str = OFFSITE.replace("offsite:", "from:", 1)

    DOCUMENTATION: str = (
        r"""
options:
  root:
    description: The backup repository; made with mode 0700.
    type: path
    default: /var/backups/quayside
  compression:
    description: As in M(quayside.web.pg_dump).
    type: str
    default: auto
  lock_wait_timeout:
    description: Seconds to wait for each table that a migration has locked.
    type: int
    default: 60
  alerts:
    description: Whom to tell how a run ended.
    type: dict
    default: {}
    suboptions:
      ping:
        description:
          - A URL in the style of healthchecks.io, called with C(/start), and at the end as it is or with C(/fail).
          - C({name}) in it stands for the database. Without it, it hears of success only while all of them are fine.
        type: str
      webhook:
        description: A URL that gets the end of every run as JSON by POST.
        type: str
      mail:
        description: Who gets a mail about every failure, through the host's own C(/usr/sbin/sendmail).
        type: str
  metrics:
    description: Folder for Prometheus' textfile collector; empty for none.
    type: str
    default: ""
  databases:
    description: The databases to back up.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Folder of the backups below O(root), and instance of the timers; a-z, 0-9, C(-) and C(_).
        type: str
        required: true
      url:
        description: The database, as C(postgresql://user:password@host:5432/database), directly and not by a pooler.
        type: str
        required: true
      admin_url:
        description:
          - The same server as a role that may create databases, for restores and drills. It runs nothing that a
            backup holds.
          - By default O(databases[].url).
        type: str
      owner_url:
        description:
          - The same server as the role that loads a backup and owns what it loads. Code in the backup runs with its
            rights, so a superuser or another powerful role is refused.
          - By default O(databases[].url).
        type: str
      schedule:
        description: When to back up, C(HH:MM) in the host's time zone or any systemd calendar.
        type: str
        default: "03:00"
      minimum:
        description: Verified backups that always stay; at least 1.
        type: int
        default: 3
      tables:
        description: What limits the dump; a backup that is limited says so in its manifest.
        type: dict
        default: {}
        suboptions:
          include:
            description: Only these tables, as patterns of C(pg_dump --table).
            type: list
            elements: str
            default: []
          exclude:
            description: Not these tables, as patterns of C(pg_dump --exclude-table).
            type: list
            elements: str
            default: []
      hashed:
        description: Hash the content of every table too, so that a drill compares that and not only the number of rows.
        type: bool
        default: false
      shrink_percent:
        description:
          - A backup that is smaller than this part of the one before, in bytes or in rows, goes into quarantine.
          - V(0) turns that off.
        type: int
        default: 50
      drill:
        description: Regular restores for practice, by which backups are proven.
        type: dict
        default: {}
        suboptions:
          enabled:
            description: Whether there are any.
            type: bool
            default: true
          schedule:
            description: When, in the form of O(databases[].schedule).
            type: str
            default: "Sun 04:30"
          server:
            description:
              - Where the scratch database is made. V(local) is a throw-away server on the host itself, which needs no
                right on any other; V(same) is the server of O(databases[].admin_url).
              - V(local) by default, and another server where O(databases[].drill.url) names one.
            type: str
          url:
            description: Another server for the scratch database, with a role that may create databases.
            type: str
          owner_url:
            description: The role that loads the backup there, by default that of O(databases[].drill.url).
            type: str
      encrypt:
        description: Encrypt what is stored here and offsite with age.
        type: dict
        suboptions:
          recipients:
            description: Public keys, C(age1...) or C(ssh-...). The private key must not be on the host.
            type: list
            elements: str
            required: true
      keep_old_days:
        description: Days that the database stays which a restore has replaced.
        type: int
        default: 7
      keep:
        description: Retention, as in M(quayside.web.pg_dump_rotate).
        type: dict
        default: {}
        suboptions:
"""
        + indent(_KEEP, " " * 10)
        + r"""      offsite:
        description: Where each backup is copied to.
        type: list
        elements: dict
        default: []
        suboptions:
"""
        + indent(_TARGET, " " * 10)
    )
