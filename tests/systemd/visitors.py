"""Runs in a box, by its own Python: visitors of some apps, until SIGTERM.

They come at a steady pace, whether those before them were answered or not. Most ask the awake apps.
Now and then one asks a sleeping app, each in its turn, so seldom that it may fall asleep again
before its next. Every request has an id; the report, one line of JSON, says how many were sent, in
how many seconds, and what was not answered with 200.

    visitors.py FOLDER AWAKE,AWAKE… [ASLEEP,ASLEEP…]
"""

import http.client
import json
import signal
import sys
import threading
import time
from itertools import count, cycle
from pathlib import Path

# For each awake app: half of what its one worker can answer. More would wait ever longer.
PER_SECOND = 5
# One in so many requests is for a sleeping app.
SELDOM = 25
# For how long an app is at work on a request.
ANSWER_SECONDS = 0.1
PATIENCE_SECONDS = 60


class Visitors:
    """Visitors of some apps. `failed` lists the requests that were not answered with 200. `sent`
    and `answered` in the folder are the number of the last request, and of the last before the
    first open one."""

    def __init__(self, folder: Path, awake: list[str], asleep: list[str]) -> None:
        self._folder = folder
        self._per_second = PER_SECOND * len(awake)
        self._awake = cycle(awake)
        self._asleep = cycle(asleep or awake)
        self._open: set[int] = set()
        self._lock = threading.Lock()
        self.failed: list[str] = []
        self.sent = 0
        self.seconds = 0.0

    def come(self) -> None:
        """Until SIGTERM, and until all were answered."""
        visits = []
        enough = {signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, enough)
        began = time.monotonic()
        for number in count(1):
            pause = began + number / self._per_second - time.monotonic()
            if signal.sigtimedwait(enough, max(0.0, pause)):
                break
            host = next(self._asleep if number % SELDOM == 0 else self._awake)
            with self._lock:
                self._open.add(number)
                self.sent = number
                (self._folder / "sent").write_text(str(number))
            visits.append(threading.Thread(target=self._visit, args=(number, host)))
            visits[-1].start()
        self.seconds = time.monotonic() - began
        for visit in visits:
            visit.join()

    def _visit(self, number: int, host: str) -> None:
        try:
            status = self._ask(number, host)
        except (OSError, http.client.HTTPException) as error:
            status = repr(error)
        if status != "200":
            self.failed.append(f"{number} of {host}: {status}")
        with self._lock:
            self._open.remove(number)
            answered = min(self._open, default=self.sent + 1) - 1
            (self._folder / "answered").write_text(str(answered))

    def _ask(self, number: int, host: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", timeout=PATIENCE_SECONDS)
        path = f"/?id={number}&sleep={ANSWER_SECONDS}"
        method, body = ("POST", b"x" * 20_000) if number % 2 else ("GET", None)
        try:
            connection.request(method, path, body, {"Host": host})
            reply = connection.getresponse()
            body = reply.read()
        finally:
            connection.close()
        return "200" if reply.status == 200 else f"{reply.status} {body[:200]!r}"


def main(folder: str, awake: str, asleep: str = "") -> None:
    """Visit, and report."""
    visitors = Visitors(Path(folder), awake.split(","), asleep.split(",") if asleep else [])
    visitors.come()
    report = {"sent": visitors.sent, "seconds": visitors.seconds, "failed": visitors.failed}
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
