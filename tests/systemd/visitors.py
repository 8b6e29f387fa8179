"""Runs in a box, by its own Python: visitors of some apps, until there is a file `enough`.

Each asks again as soon as it is answered. Those of the awake apps come all the time; the sleeping
ones get their first visitor one after the other. Every request has an id; the report, one line of
JSON, says how many were sent and what was not answered with 200.

    visitors.py FOLDER AWAKE,AWAKE… [ASLEEP,ASLEEP…]
"""

import http.client
import itertools
import json
import sys
import threading
from pathlib import Path

AT_ONCE = 6
# Of an app, with which so many visitors make some 50 requests a second.
ANSWER_SECONDS = 0.1
# A sleeping app has its first visitor after so many requests more than the one before.
DISTANCE = 30


class Visitors:
    """All of them share one count, which stands in the file `sent`."""

    def __init__(self, folder: Path, awake: list[str], asleep: list[str]) -> None:
        self._folder = folder
        self._awake = awake
        self._asleep = asleep
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.failed: list[str] = []
        self.sent = 0

    def visit(self) -> None:
        """One visitor."""
        while not (self._folder / "enough").exists():
            with self._lock:
                number = self.sent = next(self._numbers)
                (self._folder / "sent").write_text(str(number))
            try:
                status = self._ask(number)
            except (OSError, http.client.HTTPException) as error:
                status = repr(error)
            if status != "200":
                with self._lock:
                    self.failed.append(f"{number} of {self._host(number)}: {status}")

    def _host(self, number: int) -> str:
        woken = self._asleep[: number // DISTANCE]
        if woken and number % 3 == 0:
            # The newest one is who has just been woken, or is about to be.
            return woken[-1 - number // 3 % len(woken)]
        return self._awake[number % len(self._awake)]

    def _ask(self, number: int) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", timeout=60)
        path = f"/?id={number}&sleep={ANSWER_SECONDS}"
        method, body = ("POST", b"x" * 20_000) if number % 2 else ("GET", None)
        try:
            connection.request(method, path, body, {"Host": self._host(number)})
            reply = connection.getresponse()
            reply.read()
        finally:
            connection.close()
        return str(reply.status)


def main(folder: str, awake: str, asleep: str = "") -> None:
    """Visit, and report."""
    visitors = Visitors(Path(folder), awake.split(","), asleep.split(",") if asleep else [])
    threads = [threading.Thread(target=visitors.visit) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"sent": visitors.sent, "failed": visitors.failed}))


if __name__ == "__main__":
    main(*sys.argv[1:])
