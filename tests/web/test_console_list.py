"""Which vassals the console's list has, and how they are found, filtered and counted."""

import asyncio
import gc
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest

from emperor.model.authority import Caller
from emperor.model.lifecycle import State
from emperor.model.spec import Identity
from emperor.model.status import AppHits, LimitHits
from emperor.web.console.tenants import MOST_OFFERED
from tests.cli.fake_emperor import FakeEmperor, listening
from tests.web.console_pages import (
    ALICE,
    MALLORY,
    get,
    order,
    two_tenants,
)


@pytest.fixture
def emperor(tmp_path: Path) -> Iterator[FakeEmperor]:
    with two_tenants(tmp_path) as fake:
        yield fake


def test_a_broken_app_that_sleeps_is_marked_as_failed(emperor: FakeEmperor) -> None:
    """It is parked between two tries, and nothing but the mark tells it from a healthy one."""
    emperor.governor.vassals["a.example"].last_error = "exit status 22"
    assert "failed parked" in get(emperor, "vassals?q=a.example").part("list")
    assert "failed parked" not in get(emperor, "vassals?q=b.example").part("list")
    assert "failed parked" in get(emperor, "vassals/a.example").part("now")
    overview = get(emperor, "")
    assert re.search("With an error Memory failed 1 1 - parked 3 - ", overview.part("states"))
    [link] = re.findall(r'href="\./(vassals\?state=failed[^"]*trouble=1)"', overview.text)
    assert " of 1 (4 in all)" in get(emperor, unescape(link)).part("list")


def test_the_failed_are_found_before_and_after_their_delay(emperor: FakeEmperor) -> None:
    """A filter by `throttled` would lose an app when its delay has passed."""
    vassal = emperor.governor.vassals["a.example"]
    vassal.last_error = "exit status 22"
    for state in (State.THROTTLED, State.PARKED):
        vassal.state = state
        for query in ("state=failed", "state=throttled"):
            found = get(emperor, f"vassals?{query}")
            assert re.findall(r'id="v-([^"]*)"', found.text) == ["a.example"], (state, query)
            assert '<option value="failed" selected>' in found.text
        assert "a.example" not in get(emperor, "vassals?state=parked").part("list")


def test_maintenance_is_counted_as_such(emperor: FakeEmperor) -> None:
    question = get(emperor, "vassals/a.example/maintenance-on")
    assert order(emperor, "vassals/a.example/maintenance-on", question.token).status == 303
    overview = get(emperor, "")
    assert " maintenance 1 - - parked 3 " in overview.part("states")
    closed = get(emperor, "vassals?state=maintenance")
    assert re.findall(r'id="v-([^"]*)"', closed.text) == ["a.example"]
    assert "a.example maintenance -" in closed.part("list")
    # It has slept for longer.
    emperor.governor.vassals["a.example"].since -= 6 * 3600
    now = get(emperor, "vassals/a.example").part("now")
    assert re.match(r"maintenance for \d+s : visitors get 503 ", now)
    assert "parked for 6h" in now
    assert "a.example" not in get(emperor, "vassals?state=parked").part("list")


def test_an_error_is_searched_for_as_a_name_is(emperor: FakeEmperor) -> None:
    emperor.governor.vassals["a.example"].last_error = "cannot read /srv/A.py: no permission"

    def found(query: str) -> str:
        return get(emperor, f"vassals?{urlencode({'q': query})}").part("list")

    for text in ("read /srv/a.PY", "No Permission", "/srv/"):
        assert " of 1 (4 in all)" in found(text), text
        assert "a.example failed parked" in found(text)
    assert 'value="read /srv/a.PY"' in get(emperor, "vassals?q=read+/srv/a.PY").text
    # An ini that is not served has no row, and is told where it is looked for.
    assert "Not served, found too broken.example.ini" in found("BINARY")
    assert "broken.alice.example.ini" in found("broken.alice")
    assert "Not served" not in found("")
    emperor.caller = Caller(MALLORY, is_administrator=False)
    for text in ("binary", "alice", "no permission"):
        assert found(text).startswith("The list 0 (1 in all) No app matches"), text


def test_the_list_is_searched_filtered_and_sorted(emperor: FakeEmperor) -> None:
    order(emperor, "vassals/b.example/start", get(emperor, "vassals/b.example").token)

    def shown(query: str) -> list[str]:
        return re.findall(r'<tr role="row" id="v-([^"]*)"', get(emperor, f"vassals?{query}").text)

    every = ["a.example", "alice.example", "b.example", "mallory.example"]
    assert shown("") == every
    assert shown("q=LIC") == ["alice.example"]
    assert shown("state=running") == ["b.example"]
    assert shown(f"tenant={ALICE}") == ["alice.example"]
    assert shown("tenant=daemon") == ["a.example", "b.example"]
    assert shown("sort=state") == ["b.example", "a.example", "alice.example", "mallory.example"]
    assert shown("reverse=1") == every[::-1]
    assert shown("sort=state&reverse=1")[-1] == "b.example"
    assert shown("q=https://ALICE.example:8443/shop?x") == ["alice.example"]
    exact = get(emperor, "vassals?q=alice.example/").part("list")
    assert exact.startswith("The list The app of exactly this name: alice.example")
    assert "exactly" not in get(emperor, "vassals?q=lice.example").text
    text = get(emperor, "vassals").text
    assert 'aria-sort="ascending"><a href="?sort=name&amp;reverse=1">Domain</a>' in text
    assert '<a href="?sort=memory">Memory</a>' in text
    assert re.search(r'data-label="Tenant">1001</td>', text)
    for sort in ("hit", "wakes", "wake", "memory"):
        assert sorted(shown(f"sort={sort}")) == every
    # What a link cannot mean is left out.
    assert shown("sort=nothing&state=nothing&tenant=%3Cx%3E&page=x") == every
    assert shown("tenant=nobody.has.this.name") == []
    assert shown("page=99999999") == every


def test_limits_lead_to_the_apps_that_reached_them(emperor: FakeEmperor) -> None:
    hits = (
        LimitHits("alice", "memory-max", 3, ("alice.example",)),
        LimitHits("alice", "max-held", 1),
    )
    own = AppHits("memory-max", 2, datetime.now(UTC))
    emperor.reporter.sources = replace(
        emperor.reporter.sources,
        limit_hits=lambda _: hits,
        hits_of=lambda spec: (own,) if spec.domain == "alice.example" else (),
    )
    overview = get(emperor, "")
    assert "alice memory-max 3 alice.example alice max-held 1 " in overview.part("limits")
    assert 'href="./vassals/alice.example"' in overview.text
    assert re.search(
        r"memory-max \S+ \S+ \S+ 2 times, last \d+s ago",
        get(emperor, "vassals/alice.example").part("limits"),
    )
    assert " 0s" not in get(emperor, "vassals/a.example").part("limits")


def test_a_tenant_of_many_is_typed_by_name_or_uid(emperor: FakeEmperor) -> None:
    assert '<select id="tenant"' in get(emperor, "vassals").text
    for uid in range(20_000, 20_000 + MOST_OFFERED):
        emperor.serve(f"site{uid}.example", identity=Identity(uid, uid, f"u{uid}"))
    emperor.serve("nobody.example", identity=Identity(65_534, 65_534, "nobody"))
    assert get(emperor, "vassals").text.count('<option value="20') == MOST_OFFERED - 3
    for typed in ("nobody", "65534"):
        page = get(emperor, f"vassals?tenant={typed}")
        assert re.findall(r'<tr role="row" id="v-([^"]*)"', page.text) == ["nobody.example"]
        assert f'name="tenant" list="tenants" value="{typed}"' in page.text


def test_ten_thousand_vassals_keep_the_loop_free(tmp_path: Path) -> None:
    """The time that the loop itself computes between two turns, whatever else the machine does."""
    fake = FakeEmperor(tmp_path)
    fake.serve(*(f"site{number:05}.example" for number in range(10_000)))
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, before = max(longest, now - before), now

    with listening(fake):
        for path in ("", "vassals", "vassals/site00001.example"):
            assert get(fake, path).status == 200
        beating = asyncio.run_coroutine_threadsafe(beat(), fake.loop)
        gc.disable()
        try:
            for path in ("", "vassals", "vassals?q=9&sort=hit&page=2", "vassals?sort=wakes"):
                assert get(fake, path).status == 200
        finally:
            gc.enable()
            beating.cancel()
        assert len(re.findall('<tr role="row" id=', get(fake, "vassals?page=100").text)) == 100
    assert longest < 0.01
