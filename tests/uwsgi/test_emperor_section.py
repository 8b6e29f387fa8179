"""The limits that an ini sets for itself."""

import pytest

from emperor.model.definition import BrokenIni
from emperor.model.limits import Amount, Own, Wanted
from emperor.uwsgi.emperor_section import own_limits
from emperor.uwsgi.ini import parse


def read(lines: str, may_raise: bool = False) -> Own | None:
    text = f"[uwsgi]\nfile = a.py\n[emperor]\n{lines}\n"
    return own_limits(parse(text.encode(), "a.ini", "/v"), may_raise)


def test_an_ini_without_limits_has_none() -> None:
    assert read("idle = 5") is None


@pytest.mark.parametrize("may_raise", [True, False])
def test_the_limits_of_an_ini_are_read(may_raise: bool) -> None:
    own = read("memory-max = 64M\nnice = 5\npids-max = 10%%\nnice = 6", may_raise)
    memory, pids = Amount(64 << 20), Amount(10, is_percent=True)
    assert own == Own(Wanted(memory_max=memory, pids_max=pids, nice=6), may_raise)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("pids-max = 1", "line 4: cannot use pids-max = '1' in .emperor.: leaves uWSGI without a"),
        ("idle = 5\nmemory-max = all", "line 5: cannot use memory-max = 'all' .* must be a size"),
        ("memory-max = 1M\nmemory-high = 2M", "line 5: .* no effect above memory-max = 1M"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(lines: str, said: str) -> None:
    with pytest.raises(BrokenIni, match=said):
        read(lines)
