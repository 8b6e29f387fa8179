"""Tells what it sees. Takes BOOT_SECONDS to boot, and as long as the file GATE is not there. Notes
boots in BOOTS, their beginning and end in BOOTING, and runs by the `id` of their query in RUNS, if
those are set."""

import hashlib
import os
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs


def note(where: str, line: str) -> None:
    """Write one line at once to the file that the environment names."""
    if path := os.environ.get(where):
        with open(path, "a", encoding="utf-8") as notes:
            notes.write(f"{line}\n")


note("BOOTS", str(os.getpid()))
note("BOOTING", "begins")
time.sleep(float(os.environ.get("BOOT_SECONDS", "0")))
while (gate := os.environ.get("GATE")) and not os.path.exists(gate):
    time.sleep(0.01)
note("BOOTING", "ends")


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answers after `sleep` seconds, and when somebody has opened the FIFO `gate` for writing, with
    its pid, the host, and the body's length and checksum."""
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    note("RUNS", f"{environ['REQUEST_METHOD']} {query.get('id', '-')}")
    body = environ["wsgi.input"].read()
    time.sleep(float(query.get("sleep", 0)))
    if gate := query.get("gate"):
        open(gate, "rb").close()
    if query.get("die"):
        os._exit(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    told = (os.getpid(), environ["SERVER_NAME"], len(body), hashlib.sha256(body).hexdigest())
    return [" ".join(map(str, told)).encode()]
