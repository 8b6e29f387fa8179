"""Only the rules run that concern an ini, and all others would find nothing."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emperor.model.definition import BrokenIni
from emperor.model.spec import Spec
from emperor.uwsgi import lint, paths, root_paths, runtime_options
from emperor.uwsgi import spec as specs
from emperor.uwsgi.findings import Severity
from emperor.uwsgi.ini import Ini
from emperor.uwsgi.option_rules import RULES_OF
from emperor.uwsgi.rules_by_name import RulesByName
from emperor.uwsgi.users import users_of
from tests.uwsgi.house import ALICE, AS_ROOT, OWN, ROOT, SETTINGS, ini_of, of_owner

_SOMAXCONN = 4096
_RULES: list[Collection[str]] = [
    *runtime_options._VALUES.rules.values(), *specs._REFUSALS.rules.values(),
    *lint._ERRORS.rules.values(),
]  # fmt: skip
_NAMES = sorted({
    *chain.from_iterable(_RULES), *RULES_OF, *paths._SCALARS_WITH, *paths._LISTED,
    "need-app", "chroot", "uid", "route", "a",
})  # fmt: skip
_OPTIONS = [name for name in _NAMES if not name.startswith("[emperor] ")]
_VALUES = [
    "", "0", "1", "2", "99999", "true", "false", "raw", "http", "uwsgi", OWN, f"{OWN}/../socket",
    "/srv/a.py", "a", ":0", ":81", "fd://3", "=0", "$(HOME)", "a=processes=0", "root", "www-data",
    "LANG=C", "PYTHONHOME=/usr", "/tmp/all/a",
]  # fmt: skip
_EMPEROR = [
    "start-timeout = 1ms", "start-timeout = 5s", "bases = off", "python-home = /usr",
    "always = true", "idle = 0", "uwsgi-binary = /usr/bin/uwsgi", "uid = www-data",
]  # fmt: skip


@st.composite
def inis(draw: st.DrawFn) -> str:
    """An ini with some of the names that rules are about."""
    lines = st.lists(st.tuples(st.sampled_from(_OPTIONS), st.sampled_from(_VALUES)), max_size=6)
    emperor = draw(st.lists(st.sampled_from(_EMPEROR), max_size=2))
    app = draw(st.sampled_from(["", "file = a.py\n", f"socket = {OWN}\nfile = a.py\n"]))
    text = app + "\n".join(f"{key} = {value}" for key, value in draw(lines)) + "\nb = c"
    return "\n".join([text, *(["[emperor]", *emperor] if emperor else [])])


@contextmanager
def _all_rules() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RulesByName, "about", lambda table, _: tuple(table.rules))
        yield


def _judged(ini: Ini, is_roots: bool) -> Spec | tuple[str, int]:
    owner = ROOT if is_roots else ALICE
    try:
        made = specs.spec_of(of_owner(owner), ini, SETTINGS, AS_ROOT)
        lint.refuse_unservable(ini, made, SETTINGS, _SOMAXCONN)
    except BrokenIni as error:
        return error.cause, error.line
    return made


def _first_error(ini: Ini) -> str | None:
    made = specs.spec_of(of_owner(ROOT), ini, SETTINGS, AS_ROOT)
    findings = lint.lint(ini, made, SETTINGS, _SOMAXCONN)
    return next((each.text for each in findings if each.severity is Severity.ERROR), None)


def _refused(ini: Ini) -> str | None:
    made = specs.spec_of(of_owner(ROOT), ini, SETTINGS, AS_ROOT)
    try:
        lint.refuse_unservable(ini, made, SETTINGS, _SOMAXCONN)
    except BrokenIni as error:
        return error.cause
    return None


def _is_led(ini: Ini) -> bool:
    """All users may write to the folder in which uWSGI starts, so each path that it writes is led
    elsewhere."""
    made = specs.spec_of(of_owner(ROOT), ini, SETTINGS, AS_ROOT)
    users = users_of(ini, AS_ROOT.daemon, AS_ROOT)
    return any(root_paths.led_elsewhere(ini, made, "/tmp/all", users))


def _assert_the_same(text: str) -> None:
    """All rules judge an ini as those do that concern it."""
    ini = ini_of(text)
    judged = [_judged(ini, is_roots) for is_roots in (True, False)]
    with _all_rules():
        assert [_judged(ini, is_roots) for is_roots in (True, False)] == judged
    with suppress(BrokenIni):
        assert _refused(ini) == _first_error(ini)
        made = specs.spec_of(of_owner(ROOT), ini, SETTINGS, AS_ROOT)
        assert root_paths.writes_paths(ini, made) or not _is_led(ini)


@pytest.mark.parametrize("value", _VALUES)
def test_each_option_is_judged_by_the_rules_about_it(value: str) -> None:
    for key in _OPTIONS:
        _assert_the_same(f"socket = {OWN}\nfile = a.py\n{key} = {value}\na = b")


@given(inis())
def test_options_are_judged_by_the_rules_about_them(text: str) -> None:
    _assert_the_same(text)
