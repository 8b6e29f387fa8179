"""A real app tells which of its imports take the time of its start."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from emperor.model.ports import Message
from emperor.model.slow_imports import SlowImport
from emperor.uwsgi.slow_imports import ImportTimes
from tests.eventually import eventually_async
from tests.traces import public_folder
from tests.uwsgi.launched import Events, House

SLOW = "import time\ntime.sleep(0.4)\n"
APP = f"""\
import json, shop
{SLOW}
def application(environ, start_response):
    return []
"""
# So that no module of this Python's own takes a tenth of the time.
PACKAGE = {
    "app.py": APP,
    "shop/__init__.py": "import shop.reports, crowd\n",
    "shop/reports.py": "import time\ntime.sleep(0.8)\n",
    "crowd/__init__.py": "".join(f"import crowd.m{number}\n" for number in range(9)),
    **{f"crowd/m{number}.py": "import time\ntime.sleep(0.05)\n" for number in range(9)},
}


@pytest.fixture
async def house() -> AsyncIterator[House]:
    with public_folder() as folder:
        for name, text in PACKAGE.items():
            path = folder / "site" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        house = House(folder)
        yield house
        house.listener.close()


def ini(house: House, text: str) -> None:
    """Have the house run by an ini with these lines."""
    site = Path(house.settings.vassals_dir).parent / "site"
    own = f"[uwsgi]\nsocket = {house.spec.socket}\npythonpath = {site}\n"
    house.text = (own + text.replace("SITE", str(site))).encode()


async def measured(house: House) -> tuple[SlowImport, ...]:
    """What the app has told by the time that it accepts."""
    events = Events()
    process = house.prepare(events)
    process.measure_imports()
    process.start()
    await eventually_async(lambda: Message.ACCEPTING in events.messages)
    found = process.take_slow_imports(process._loop.time())
    assert process.take_slow_imports(0) is None, "it is told once"
    process.stop()
    await eventually_async(lambda: events.exits)
    assert found is not None
    return found


@pytest.mark.parametrize("way", ["file = SITE/app.py", "wsgi-file = SITE/app.py\nlazy-apps = 1"])
async def test_what_takes_the_time_is_told_the_slowest_first(house: House, way: str) -> None:
    ini(house, way)
    reports, *others = await measured(house)
    assert (reports.name, reports.modules, reports.imported_by) == ("shop.reports", 1, "shop")
    [crowd] = [each for each in others if each.name == "crowd"]
    assert (crowd.modules, crowd.imported_by) == (10, "shop")
    [own] = [each for each in others if each.name.endswith("/site/app.py")]
    assert (own.modules, own.imported_by) == (0, None)
    assert reports.milliseconds > own.milliseconds >= 400
    assert sum(each.percent for each in (reports, crowd, own)) <= 100


async def test_an_app_that_is_a_module_is_told_as_one(house: House) -> None:
    ini(house, "module = app")
    found = {each.name: each for each in await measured(house)}
    assert found["app"].imported_by is None
    assert found["shop.reports"].imported_by == "shop"


async def test_a_traceback_has_nothing_of_the_measurement(house: House) -> None:
    site = Path(house.settings.vassals_dir).parent / "site"
    (site / "shop" / "reports.py").write_text("import nosuchmodule\n")
    ini(house, "file = SITE/app.py\nneed-app = true")
    events = Events()
    process = house.prepare(events)
    process.measure_imports()
    process.start()
    [why] = await eventually_async(lambda: events.exits)
    assert f"No module named 'nosuchmodule' ({site}/shop/reports.py, line 1)" in why
    log = (house.settings.log_dir / "a.example.log").read_text()
    assert "Traceback" in log
    assert "time_imports" not in log
    assert "importlib" not in log


async def test_a_process_that_is_killed_tells_what_it_imported(house: House) -> None:
    site = Path(house.settings.vassals_dir).parent / "site"
    (site / "shop" / "reports.py").write_text("import time\ntime.sleep(999)\n")
    ini(house, "file = SITE/app.py")
    events = Events()
    process = house.prepare(events)
    process.measure_imports()
    process.start()
    await eventually_async(lambda: "shop.reports" in process.import_times.unfinished())
    process.kill()
    [why] = await eventually_async(lambda: events.exits)
    assert why == "it was importing shop.reports, which shop imports; its log does not say why"


async def test_an_app_may_close_what_it_does_not_know(house: House) -> None:
    site = Path(house.settings.vassals_dir).parent / "site"
    (site / "shop" / "__init__.py").write_text(
        "import os\n"
        "[fd] = [int(name) for name in os.listdir('/proc/self/fd')\n"
        "        if 'emperord-imports' in os.path.realpath(f'/proc/self/fd/{name}')]\n"
        "os.close(fd)\n"
        f"assert os.open({str(site / 'data')!r}, os.O_RDWR | os.O_CREAT) == fd\n"
        "import shop.reports\n"
    )
    ini(house, "file = SITE/app.py\nneed-app = true")
    await measured(house)
    assert (site / "data").read_bytes() == b""


@pytest.mark.parametrize(
    "written",
    [
        b"", b"\xff\xfe", b"1", b"nan\tnan\t/x", b"1\t1\t/x\ninf\t1\ta\t", b"1\t1\t/x\n1\t-1\ta\t",
        b"1\t1\t/x\n1e9\t1\ta\t", b"1\t1\t/x\nx", b"1\t1\t/x\n" + b"9" * 5000,
        b"-1e304\t0\t/x", b"1e304\t0\t/x",
    ],
)  # fmt: skip
def test_an_app_cannot_write_what_cannot_be_told(written: bytes) -> None:
    times = ImportTimes()
    times.open()
    assert times.fd is not None
    os.pwrite(times.fd, written, 1024)
    assert times.taken(1e6) in ((), (SlowImport("/x", 999998999.0, 100, 0, None),))
    with pytest.raises(PermissionError):
        os.pwrite(times.fd, b"x", 8192)
    times.close()
    assert times.taken(1e6) is None


def test_names_are_bounded() -> None:
    times = ImportTimes()
    times.open()
    assert times.fd is not None
    long = b"x" * 4000
    os.pwrite(times.fd, b"0\t0\t\n" + b"\t".join((b"900", b"2", long, long)), 1024)
    os.pwrite(times.fd, long[:1000], 0)
    [found] = times.taken(1.0) or ()
    assert (len(found.name), len(found.imported_by or ""), found.percent) == (120, 120, 90)
    assert len(times.unfinished()) < 150
    times.close()
