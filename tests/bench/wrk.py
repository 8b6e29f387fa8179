"""wrk: as many requests as a few connections can carry, one at a time on each."""

import re
import subprocess
from dataclasses import dataclass

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Load:
    """How many requests, how many in a second, and the seconds within which a half and 99 % of them
    were answered."""

    requests: int
    rate: float
    p50: float
    p99: float


def wrk(url: str, host: str, connections: int) -> Load:
    """Send requests for that host to `url` for one second.

    Raises ConnectionError when one of them fails.
    """
    command = ["wrk", "-t1", f"-c{connections}", "-d1s", "--latency", "-H", f"Host: {host}", url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if wrong := re.search(r"(Non-2xx|Socket errors).*", told):
        raise ConnectionError(f"cannot measure {url} for {host}: {wrong[0]}")
    [requests] = re.findall(r"^ +(\d+) requests in ", told, re.MULTILINE)
    [rate] = re.findall(r"Requests/sec: +([\d.]+)", told)
    return Load(int(requests), float(rate), _percentile(50, told), _percentile(99, told))


def _percentile(percent: int, told: str) -> float:
    [(value, unit)] = re.findall(rf"^ +{percent}% +([\d.]+)(us|ms|s)$", told, re.MULTILINE)
    return float(value) * _SECONDS[unit]
