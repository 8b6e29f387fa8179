"""What check says of a memory limit, by what uWSGI takes with different Pythons."""

import pytest

from emperor.model.limits import Limits
from emperor.uwsgi.findings import Severity
from emperor.uwsgi.narrow_limits import narrow_limits
from tests.uwsgi.house import ini_of, spec

TEXT = "[uwsgi]\nfile = /x.py\nsocket = /s/a.example/socket\n"
ERROR, WARNING = Severity.ERROR, Severity.WARNING


@pytest.mark.parametrize(
    ("megabytes", "workers", "found"),
    [
        (6, 1, (ERROR, "uWSGI and Python alone take 7 MB")),
        (7, 1, (WARNING, "too little for a worker, which takes 8 MB")),
        (8, 1, None),
        (8, 2, (ERROR, "uWSGI and Python alone take 9 MB")),
        (9, 2, (WARNING, "too little for 2 workers, which take 11 MB")),
    ],
)
def test_memory_that_some_pythons_do_without_is_no_error(
    megabytes: int, workers: int, found: tuple[Severity, str] | None
) -> None:
    text = f"{TEXT}processes = {workers}\n"
    limits = Limits(memory_max=megabytes << 20)
    told = [
        (each.severity, each.text)
        for each in narrow_limits(ini_of(text), spec(text), limits, has_bases=False)
    ]
    assert len(told) == (found is not None)
    if found:
        assert told[0][0] is found[0]
        assert found[1] in told[0][1]
