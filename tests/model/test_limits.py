"""The limits of apps and tenants: what a text means, and which of several values holds."""

from typing import Any

import pytest

from emperor.model.limits import (
    LIMITS,
    Amount,
    Limit,
    Limits,
    LimitSettings,
    Own,
    combined,
    contradiction,
    of_tenant,
    within,
)
from emperor.model.machine import Machine
from emperor.model.section import SettingsError
from emperor.model.settings import read_settings

MACHINE = Machine(memory_bytes=8 << 30, processes=10_000, descriptors=1000)
M = 1 << 20
SETTINGS = LimitSettings(
    memory_max=Amount(100 * M), memory_high=Amount(0), pids_max=Amount(10, is_percent=True),
    cpu_weight=100, cpu_max=0, io_weight=100, nofile=0, nice=0,
)  # fmt: skip

# Of each limit: texts, and their values on that machine; 0: no limit.
READ: dict[str, dict[str, int]] = {
    "memory-max": {"512M": 512 * M, "50%": 4 << 30, "1048576": M, "2T": 2 << 40, "0": 0},
    "memory-high": {"1G": 1 << 30, "100%": 8 << 30, "0": 0},
    "pids-max": {"500": 500, "33%": 3300, "2": 2, "0": 0},
    "cpu-weight": {"1": 1, "10000": 10_000},
    "cpu-max": {"50%": 50, "50": 50, "400%": 400, "0": 0},
    "io-weight": {"7": 7},
    "nofile": {"64": 64, "65536": 65_536, "0": 0},
    "nice": {"-20": -20, "0": 0, "19": 19},
}
# Of each limit: texts that make no sense, and what is said of them.
REFUSED: dict[str, dict[str, str]] = {
    "memory-max": {
        "lots": "must be a size", "-1": "must be a size", "512 M": "must be a size", "": "must be",
        "0%": "a share from 1% to 100%", "101%": "a share from 1% to 100%",
        "1023K": "less than any app needs", "1": "less than any app needs",
    },
    "memory-high": {"12": "less than any app needs"},
    "pids-max": {"1": "leaves uWSGI without a worker", "1.5": "must be a number", "200%": "share"},
    "cpu-weight": {"0": "from 1 to 10000", "10001": "from 1 to 10000", "50%": "from 1 to 10000"},
    "cpu-max": {"half": "percent of one core", "0%": "percent of one core", "2000000%": "percent"},
    "io-weight": {"0": "from 1 to 10000"},
    "nofile": {"1": "a number from 64 on", "-1": "a number from 64 on", "x": "a number from 64 on"},
    "nice": {"-21": "from -20 to 19", "20": "from -20 to 19", "low": "from -20 to 19"},
}  # fmt: skip
# Of each limit: (of the settings, of the ini) → what holds for a tenant's ini, and for root's.
COMBINED: dict[str, list[tuple[Any, Any, int | None, int | None]]] = {
    "memory-max": [
        (Amount(100 * M), None, 100 * M, 100 * M),
        (Amount(100 * M), Amount(50 * M), 50 * M, 50 * M),
        (Amount(100 * M), Amount(200 * M), 100 * M, 200 * M),
        (Amount(100 * M), Amount(0), 100 * M, None),
        (Amount(0), Amount(50 * M), 50 * M, 50 * M),
        (Amount(0), None, None, None),
        (Amount(1, True), Amount(90 * M), (8 << 30) // 100, 90 * M),
    ],
    "memory-high": [
        (Amount(0), Amount(50 * M), 50 * M, 50 * M),
        (Amount(10 * M), Amount(50 * M), 10 * M, 50 * M),
    ],
    "pids-max": [
        (Amount(10, True), Amount(20), 20, 20),
        (Amount(10, True), Amount(2000), 1000, 2000),
        (Amount(10, True), Amount(0), 1000, None),
    ],
    "cpu-weight": [(100, 50, 50, 50), (100, 200, 100, 200), (100, None, 100, 100)],
    "cpu-max": [(0, 50, 50, 50), (50, 0, 50, None), (50, 100, 50, 100), (0, None, None, None)],
    "io-weight": [(100, 1, 1, 1), (100, 500, 100, 500)],
    "nofile": [(0, 500, 500, 500), (500, 0, 500, None), (500, 900, 500, 900)],
    "nice": [(0, 5, 5, 5), (0, -5, None, -5), (5, 0, 5, None), (5, None, 5, 5)],
}


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_a_text_is_read_and_spelled_again(limit: Limit) -> None:
    for text, number in READ[limit.name].items():
        value = limit.parse(text)
        everything = MACHINE.processes if limit.name == "pids-max" else MACHINE.memory_bytes
        assert (value.of(everything) if isinstance(value, Amount) else value) == number, text
        assert limit.parse(limit.spell(value)) == value, text


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_what_makes_no_sense_is_refused_in_words(limit: Limit) -> None:
    for text, said in REFUSED[limit.name].items():
        with pytest.raises(ValueError, match=said):
            limit.parse(text)


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_a_tenants_ini_can_only_lower_and_roots_wins(limit: Limit) -> None:
    for of_settings, of_ini, for_tenant, for_root in COMBINED[limit.name]:
        settings = LimitSettings(**{limit.field: of_settings})
        wanted = LimitSettings(**{limit.field: of_ini})
        for own, expected in ((Own(wanted), for_tenant), (Own(wanted, True), for_root)):
            held = getattr(combined(settings, own, MACHINE), limit.field)
            assert held == expected, (of_settings, of_ini, own.may_raise)


def test_an_ini_that_says_nothing_has_those_of_the_settings() -> None:
    limits = combined(SETTINGS, None, MACHINE)
    assert limits == Limits(100 * M, None, 1000, 100, None, 100)
    assert combined(SETTINGS, Own(LimitSettings(nice=3)), MACHINE).memory_max == 100 * M


def test_an_app_has_no_more_cpu_than_its_tenant() -> None:
    for app, tenant, held in ((None, 200, 200), (100, 200, 100), (300, 200, 200), (9, None, 9)):
        assert within(Limits(cpu_max=tenant), Limits(cpu_max=app)).cpu_max == held


def test_memory_high_above_memory_max_is_refused() -> None:
    assert "no effect above memory-max = 1M" in contradiction(
        LimitSettings(memory_max=Amount(M), memory_high=Amount(2 * M))
    )
    for wanted in (
        LimitSettings(), SETTINGS,
        LimitSettings(memory_max=Amount(M), memory_high=Amount(M)),
        LimitSettings(memory_max=Amount(0), memory_high=Amount(M)),
        LimitSettings(memory_max=Amount(M), memory_high=Amount(90, is_percent=True)),
    ):  # fmt: skip
        assert contradiction(wanted) == ""
    with pytest.raises(SettingsError, match="no effect above memory-max"):
        read_settings("[emperord]\nmemory-max = 1G\nmemory-high = 2G\n", "x", {})


def test_the_defaults_leave_room_for_others() -> None:
    settings = read_settings("", "x", {})
    app = combined(settings.limits(), None, MACHINE)
    tenant = of_tenant(settings.limits("tenant_"), MACHINE)
    assert app == Limits(4 << 30, None, 1000, 100, None, 100)
    assert tenant == Limits(6 << 30, None, 3300, 100, None, 100)
