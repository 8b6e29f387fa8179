"""Inis whose uWSGI would have no worker, and workers that cannot be paused."""

import pytest

from emperor.model.definition import BrokenIni
from emperor.uwsgi.options import uwsgi_options
from tests.uwsgi.house import spec


@pytest.mark.parametrize(
    ("options", "can_pause"),
    [
        ("workers = 4", True),
        ("threads = 1", True),
        ("enable-threads = true", True),
        ("threads = 2", False),
        ("threads = 4\nthreads = 1", True),
        ("gevent = 10", False),
        ("async = 10", False),
        ("loop = asyncio", False),
    ],
)
def test_workers_with_threads_or_another_loop_cannot_be_paused(
    options: str, can_pause: bool
) -> None:
    made = spec(f"file = /srv/a.py\n{options}")
    assert uwsgi_options(made).can_pause == can_pause


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("processes = 0", "line 2: processes = 0 counts as 0, so no worker accepts"),
        ("processes = auto", "line 2: processes = auto counts as 0, so"),
        ('workers = "4"', 'line 2: workers = "4" counts as 0, so'),
        ("processes =", "line 2: processes is empty, so"),
        ("workers", "line 2: workers is empty"),
        ("workers = $(CPUS)", "line 2: workers = $(CPUS) has no value, since that variable is not"),
        ("workers = 2\nprocesses = none", "line 3: processes = none counts as 0"),
        ("processes = -1", "line 2: processes = -1 is out of range; use 1 or more"),
        ("workers = 99999999999", "line 2: workers = 99999999999 is out of range; use 2147483647"),
        ("gevent = -1", "line 2: gevent = -1 is out of range; use 2 or more"),
        ("limit-nproc = 1", "line 2: limit-nproc = 1 leaves the master without a worker"),
        ("gevent = 0", "line 2: gevent = 0 counts as 0, so no worker can handle a request; write"),
        ("gevent = true", "line 2: gevent = true counts as 0"),
        ("async = 9\nthreads = 2", "line 2: uWSGI's loop for async does not run in threads, so no"),
        ("async = 9\nthreads = 2\nugreen = true", "line 2: uWSGI's loop for async does not run in"),
        ("gevent = 1", "line 2: gevent = 1 is too few for the loop of gevent"),
        ("loop = gevent", "line 2: loop = gevent alone handles one request at once"),
        (
            "declare-option = app=file=$1;processes=$2\napp = a.py 0",
            "line 3: processes = 0 counts as 0, so no worker accepts requests",
        ),
        ("gevent = 10\nasync =", "line 3: async is empty"),
        ("loop = gevent\nasync = 0", "line 3: async = 0 counts as 0"),
    ],
)
def test_an_ini_without_a_worker_is_refused_at_once(text: str, cause: str) -> None:
    with pytest.raises(BrokenIni) as broken:
        spec(text)
    assert str(broken.value).startswith(cause)
    assert broken.value.cure


@pytest.mark.parametrize(
    ("template", "uses"),
    [
        (";".join(["workers=1"] * 800), ["a = 1"] * 400),
        ("$1" * 900, [f"a = {'$2' * 900} {'$3' * 900} {'x' * 900}"]),
        ("$1" * 9000, ["a ="] * 400),
    ],
    ids=["many", "long", "empty"],
)
def test_what_declared_options_stand_for_has_an_end(template: str, uses: list[str]) -> None:
    declared = f"declare-option = a={template}"
    assert spec(f"{declared}\n[emperor]").overlaps
    with pytest.raises(BrokenIni, match="the declared option a makes the ini longer than 64 KiB"):
        spec("\n".join([declared, *uses]))


@pytest.mark.parametrize(
    "text",
    [
        "processes = 0\nworkers = 2", "workers = +2", "processes = 2 ; two", "processes = %k",
        "workers = @(exec://nproc)", "limit-nproc = 2", "gevent = 0\nasync = 5", "async = 0",
        "gevent = 10",
    ],
)  # fmt: skip
def test_an_ini_with_a_worker_is_served(text: str) -> None:
    assert spec(text).overlaps
