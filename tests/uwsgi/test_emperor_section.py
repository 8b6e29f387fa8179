"""What an ini says in its section [emperor]: settings that it overrides, and limits of its own."""

import pytest

from emperor.model.definition import BrokenIni
from emperor.model.limits import Amount, LimitSettings, Own
from emperor.model.spec import Activation
from emperor.uwsgi.emperor_section import own_limits
from emperor.uwsgi.ini import parse
from tests.uwsgi.house import ALICE, spec


def read(lines: str, may_raise: bool = False) -> Own | None:
    text = f"[uwsgi]\nfile = a.py\n[emperor]\n{lines}\n"
    return own_limits(parse(text.encode(), "a.ini", "/v"), may_raise)


def test_an_ini_without_limits_has_none() -> None:
    assert read("idle = 5") is None


@pytest.mark.parametrize("may_raise", [True, False])
def test_the_limits_of_an_ini_are_read(may_raise: bool) -> None:
    own = read("memory-max = 64M\nnice = 5\npids-max = 10%%\nnice = 6", may_raise)
    memory, pids = Amount(64 << 20), Amount(10, is_percent=True)
    assert own == Own(LimitSettings(memory_max=memory, pids_max=pids, nice=6), may_raise)


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


def test_emperor_overrides_the_settings_for_one_vassal() -> None:
    made = spec(
        "master\n[emperor]\nactivation = socket\nstart-timeout = 5\nstop-timeout = 0.5\nx=1"
    )
    assert (made.activation, made.start_timeout, made.stop_timeout) == (Activation.SOCKET, 5, 0.5)
    in_units = spec("master\n[emperor]\nstart-timeout = 5m\nstop-timeout = 500ms")
    assert (in_units.start_timeout, in_units.stop_timeout) == (300, 0.5)


@pytest.mark.parametrize(
    "option",
    [
        "idle = soon", "idle = -1", "idle = 1.5", "activation = maybe", "start-timeout = 0",
        "stop-timeout = x", "stop-timeout = 25h", "on-change = later", "backlog = 0",
        "need-app = perhaps", "idle",
    ],
)  # fmt: skip
def test_a_bad_value_in_emperor_is_refused_by_line(option: str) -> None:
    key = option.partition(" ")[0]
    with pytest.raises(BrokenIni, match=rf"line 4: cannot use {key} = .* in \[emperor\]: "):
        spec(f"master\n[emperor]\n{option}")


@pytest.mark.parametrize("key", ["start-timeout", "stop-timeout"])
def test_a_tenant_may_shorten_timeouts_and_not_lengthen_them(key: str) -> None:
    field = key.replace("-", "_")
    assert getattr(spec(f"file = app.py\n[emperor]\n{key} = 59", ALICE), field) == 59
    assert getattr(spec(f"file = app.py\n[emperor]\n{key} = 600"), field) == 600
    assert getattr(spec(f"file = app.py\n[emperor]\n{key} = 61", ALICE), field) == 60
