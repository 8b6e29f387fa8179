"""Runs wrk, which sends one request after the other on each of a few connections."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Load:
    """The number of requests, the requests per second, and the seconds within which 50 % and 99 %
    were answered."""

    requests: int
    rate: float
    p50: float
    p99: float


def wrk(url: str, host: str | Path, connections: int) -> Load:
    """Send requests to `url` for one second: for a host, or as a script in Lua makes them.

    Raises ConnectionError when a request fails.
    """
    what = ["-s", str(host)] if isinstance(host, Path) else ["-H", f"Host: {host}"]
    command = ["wrk", "-t1", f"-c{connections}", "-d1s", "--latency", *what, url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if wrong := re.search(r"(Non-2xx|Socket errors).*", output):
        raise ConnectionError(f"cannot measure {url} for {host}: {wrong[0]}")
    [requests] = re.findall(r"^ +(\d+) requests in ", output, re.MULTILINE)
    [rate] = re.findall(r"Requests/sec: +([\d.]+)", output)
    return Load(int(requests), float(rate), _percentile(50, output), _percentile(99, output))


def _percentile(percent: int, output: str) -> float:
    [(value, unit)] = re.findall(rf"^ +{percent}% +([\d.]+)(us|ms|s) *$", output, re.MULTILINE)
    return float(value) * _SECONDS[unit]
