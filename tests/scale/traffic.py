"""Who is asked for, and when: a law of Zipf's kind over the domains, and a curve over the day."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

DAY_SECONDS = 86_400.0
_QUIETEST = 4 * 3600.0
# The busiest hour has 1 + this times the mean, the quietest 1 - this.
_SWING = 0.7
_STEP = 300.0
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def load(time: float) -> float:
    """The integral of the curve from 0 to `time`, whose mean over a day is 1."""
    turn = 2 * math.pi / DAY_SECONDS
    swing = math.sin(turn * (time - _QUIETEST)) + math.sin(turn * _QUIETEST)
    return time - _SWING / turn * swing


_LOADS = [load(number * _STEP) for number in range(int(DAY_SECONDS / _STEP) + 1)]


def time_of(done: float) -> float:
    """The time at which the integral is `done`."""
    days, rest = divmod(done, DAY_SECONDS)
    at = min(bisect_right(_LOADS, rest), len(_LOADS) - 1) - 1
    part = (rest - _LOADS[at]) / (_LOADS[at + 1] - _LOADS[at])
    return days * DAY_SECONDS + (at + part) * _STEP


BUSIEST = _QUIETEST + DAY_SECONDS / 2


@dataclass(frozen=True, slots=True)
class Traffic:
    """Independent visitors of domains: `rates` has the hits a second of each, as a mean over a day,
    the most popular one first."""

    rates: Sequence[float]
    random: Random

    def after(self, domain: int, time: float) -> float:
        """When the domain is hit first after `time`. What was hit before does not matter."""
        return time_of(load(time) + self.random.expovariate(self.rates[domain]))

    def before(self, domain: int, time: float) -> float:
        """When it was hit last before `time`."""
        return time_of(load(time) - self.random.expovariate(self.rates[domain]))


def rates(domains: int, awake: int, within: float, exponent: float) -> list[float]:
    """Rates that fall with the rank as rank ** -exponent, and of which so many domains are hit
    `within` so many seconds, as a mean."""
    shape = [rank**-exponent for rank in range(1, domains + 1)]
    low, high = -20.0, 40.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        if _awake(shape, math.exp(middle) * within) < awake:
            low = middle
        else:
            high = middle
    return [math.exp(low) * each for each in shape]


def _awake(shape: Sequence[float], hits: float) -> float:
    """How many are hit at least once. Of a long list only some are counted, which stand for the
    others near them."""
    total, rank = 0.0, 0
    while rank < len(shape):
        stride = max(1, rank // 200)
        width = min(stride, len(shape) - rank)
        total -= width * math.expm1(-hits * shape[min(rank + stride // 2, len(shape) - 1)])
        rank += stride
    return total


def names(count: int, random: Random) -> list[str]:
    """Host names of customers, each once."""
    found: dict[str, None] = {}
    while len(found) < count:
        label = "".join(random.choices(_LETTERS, k=random.randint(5, 12)))
        found[f"www.{label}.{random.choice(('com', 'org', 'net', 'de', 'co.uk'))}"] = None
    return list(found)
