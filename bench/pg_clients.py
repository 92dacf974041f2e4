# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Clients of a database that come back at once when their session ends, as an app's pool does.

Runs on a database server, hence only the standard library and psycopg2: `python3 -c SOURCE URL CLIENTS SECONDS QUERY`.
Prints JSON: how many answers there were, how many tries were refused, and for how long at most nobody was let in: a
window is all refusals with no second without one between them.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import psycopg2


def main() -> None:
    url, clients, seconds, query = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    end = time.monotonic() + seconds
    refused: list[float] = []
    answers: list[int] = []

    def client() -> None:
        connection, count = None, 0
        while time.monotonic() < end:
            try:
                if connection is None:
                    connection = psycopg2.connect(url, connect_timeout=5)
                    connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(query)
                    cursor.fetchone()
                count += 1
                time.sleep(0.02)
            except psycopg2.Error:
                refused.append(time.monotonic())
                connection = None
                time.sleep(0.005)
        answers.append(count)

    threads = [threading.Thread(target=client) for _number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    windows: list[list[float]] = []
    for moment in sorted(refused):
        if not windows or moment - windows[-1][1] > 1:
            windows.append([moment, moment])
        windows[-1][1] = moment
    longest = max((last - first for first, last in windows), default=0.0)
    print(json.dumps({"answers": sum(answers), "refused": len(refused), "windows": len(windows), "longest": longest}))


if __name__ == "__main__":
    main()
