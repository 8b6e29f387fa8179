"""The console with 10,000 sleeping apps: until a browser paints a page, until an update is on the
page, and what an open console costs a daemon at rest."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
from playwright.sync_api import Page, sync_playwright

from docs.figures import Limit
from tests.bench.many import Crowd
from tests.bench.place import DISK, place
from tests.bench.report import Row, row
from tests.bench.rounds import Bench
from tests.browser.console import entered, launched, shown

_SIZE = 10_000
_PAGES = {"the overview": "", "the list": "vassals", "one app": "vassals/app00001.example"}
_PAINTED = """\
() => new Promise((done) => new PerformanceObserver((seen) => {
  for (const paint of seen.getEntriesByName("first-contentful-paint")) done(paint.startTime);
}).observe({ type: "paint", buffered: true }))
"""
_REFRESHED = "async () => { const from = performance.now(); await refresh();"
_UPDATE = f"{_REFRESHED} return performance.now() - from; }}"
# The page asks for itself again once a minute.
_REST_SECONDS = 61.0
_LONGEST_PAINT, _LONGEST_UPDATE, _MOST_AT_REST = Limit(300.0), Limit(50.0), Limit(0.5)


def console(bench: Bench) -> Iterator[Row]:
    """Measure in a browser that keeps no page, on a console of its own."""
    with place(DISK) as folder, ExitStack() as stack:
        crowd = Crowd(folder, stack, _SIZE)
        link = stack.enter_context(shown(folder / "run"))
        browser = launched(stack.enter_context(sync_playwright()))
        stack.callback(browser.close)
        entry = entered(browser, link)
        page = browser.new_context(storage_state=entry.state).new_page()
        for name, path in _PAGES.items():
            what = f"console of {_SIZE:,} apps, {name}"
            sides = {"ours": lambda path=path: _paint(page, entry.address + path)}
            yield row(f"{what}: first paint", "ms", bench.paired(what, sides), _LONGEST_PAINT)
            updates = bench.paired(what, {"ours": lambda: _update(page)})
            yield row(f"{what}: an update", "ms", updates, _LONGEST_UPDATE)
        share = _share_at_rest(crowd.pid)
        yield row("an open console, at rest", "%", {"ours": [share]}, _MOST_AT_REST)


def _paint(page: Page, address: str) -> float:
    """Seconds from the start of the navigation to the first text that is painted."""
    page.goto(address)
    painted: float = page.evaluate(_PAINTED)
    return painted / 1000


def _update(page: Page) -> float:
    """Seconds for the refresh that an event causes: the page is asked for again and compared."""
    took: float = page.evaluate(_UPDATE)
    return took / 1000


def _share_at_rest(pid: int) -> float:
    """Percent of a core that the daemon takes while the page that was opened last is open."""
    daemon = psutil.Process(pid)
    before = sum(daemon.cpu_times()[:2])
    time.sleep(_REST_SECONDS)
    return (sum(daemon.cpu_times()[:2]) - before) / _REST_SECONDS * 100
