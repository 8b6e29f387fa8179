"""The activation endpoint over HTTP, as nginx's fallback asks it, with the fakes of the core."""

import asyncio
from dataclasses import replace

import pytest

from emperor.model.cause import Cause
from emperor.model.lifecycle import Event, State
from emperor.model.ports import Message, QueueLength
from emperor.model.snapshot import PendingEvent
from emperor.model.spec import Activation as ActivationMode
from emperor.model.spec import Identity, Repeat
from emperor.supervisor.records import Vassal
from emperor.web.activation import STOPPED, Answer, Run, Wait, failure, outcome
from emperor.web.hit import Hit
from emperor.web.pages import Page
from tests.eventually import eventually_async
from tests.supervisor.world import SPEC, World, settings
from tests.web.front import FakeInis, front


def vassal_in(state: State, is_pending: bool = False, retry_at: float | None = 1002.5) -> Vassal:
    vassal = World().vassal
    vassal.state, vassal.retry_at = state, retry_at
    vassal.pending_event = PendingEvent(Event.DEMAND, Cause("hit", 0.0)) if is_pending else None
    return vassal


WAIT, BROKEN, UNKNOWN = Wait(), Answer(Page.BROKEN, 3), Answer(Page.UNKNOWN)

# The outcome without and with a pending event.
OUTCOMES: dict[State, tuple[type[Run] | Wait | Answer, type[Run] | Wait | Answer]] = {
    State.PARKED: (STOPPED, WAIT),
    State.STARTING: (WAIT, WAIT),
    State.RUNNING: (Run, Run),
    State.RELOADING: (Run, Run),
    State.STOPPING: (STOPPED, WAIT),
    State.THROTTLED: (BROKEN, BROKEN),
    State.REMOVED: (UNKNOWN, UNKNOWN),
}


@pytest.mark.parametrize("is_pending", [False, True])
@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_each_state_decides_on_a_held_request(state: State, is_pending: bool) -> None:
    vassal = vassal_in(state, is_pending)
    expected = OUTCOMES[state][is_pending]
    assert outcome(vassal, 1000.0) == (Run(vassal.listener) if expected is Run else expected)


def test_a_request_for_no_vassal_is_answered() -> None:
    assert outcome(None, 1000.0) == UNKNOWN


@pytest.mark.parametrize(
    ("retry_at", "seconds"), [(None, 1), (999.0, 1), (1000.2, 1), (1060.1, 61)]
)
def test_the_throttle_decides_on_retry_after(retry_at: float | None, seconds: int) -> None:
    vassal = vassal_in(State.THROTTLED, retry_at=retry_at)
    assert outcome(vassal, 1000.0) == Answer(Page.BROKEN, seconds)


async def test_a_hit_is_held_until_the_app_accepts_and_then_run() -> None:
    async with front(World()) as nginx:
        hit = asyncio.create_task(nginx.ask())
        await eventually_async(lambda: nginx.held == 1)
        assert nginx.world.state == "starting"
        nginx.world.launcher.last.accepts()
        reply = await hit
        assert await reply.read() == b""
    assert reply.status == 200
    assert reply.headers["X-Accel-Redirect"] == "@app"
    leaking = set(reply.headers) - {"X-Accel-Redirect", "Content-Length"}
    assert not leaking, "nginx would pass these on with the app's reply"
    boot = nginx.world.vassal.last_boot
    assert boot is not None
    cause = boot.cause
    assert (cause.by, cause.client) == ("hit", "203.0.113.9")
    assert (cause.method, cause.path, cause.agent) == ("GET", "/any/path", "curl/8.0")


@pytest.mark.parametrize(("setting", "told"), [("true", "1500ms"), ("false", None)])
async def test_a_request_that_was_held_learns_how_long(setting: str, told: str | None) -> None:
    async with front(World(), settings(wake_header=setting)) as nginx:
        held = asyncio.create_task(nginx.ask())
        await eventually_async(lambda: nginx.held == 1)
        nginx.world.clock.advance(1.5)
        nginx.world.launcher.last.accepts()
        assert (await held).headers.get("X-Emperord-Wake") == told
        assert "X-Emperord-Wake" not in (await nginx.ask()).headers, "this one had not to wait"


async def test_a_browser_sees_the_waiting_page_and_a_program_is_held() -> None:
    async with front(World(), settings(page_after="0.01")) as nginx:
        program = asyncio.create_task(nginx.ask())
        page = await nginx.ask(navigates=True)
        text = await page.text()
        assert page.status == 503
        assert page.headers["Retry-After"] == "1"
        assert page.headers["Cache-Control"] == "no-store"
        assert '<meta http-equiv="refresh" content="1">' in text
        assert "a.example" in text
        assert "<script>" not in text
        assert "&lt;script&gt;" in text
        assert not program.done()
        nginx.world.launcher.last.accepts()
        assert (await program).status == 200


async def test_the_waiting_page_estimates_by_earlier_boots() -> None:
    world = World()
    async with front(world, settings(page_after="0")) as nginx:
        assert "It will take" not in await (await nginx.ask(navigates=True)).text()
        world.clock.advance(7)
        process = world.launcher.last
        process.accepts()
        process.says(Message.IDLE)
        process.exits()
        world.hit()
        world.clock.advance(2)
        text = await (await nginx.ask(navigates=True)).text()
        assert "<p>It will take about 5 seconds more.</p>" in text


async def test_a_client_that_only_accepts_html_is_held() -> None:
    async with front(World(), settings(page_after="0")) as nginx:
        held = [asyncio.create_task(nginx.ask(wants_html=True)) for _ in range(2)]
        await eventually_async(lambda: nginx.held == 2)
        nginx.world.launcher.last.accepts()
        assert [(await hit).status for hit in held] == [200, 200]


async def test_a_failure_is_told_in_html_to_a_client_that_accepts_it() -> None:
    async with front(World()) as nginx:
        held = asyncio.create_task(nginx.ask(wants_html=True))
        await eventually_async(lambda: nginx.held == 1)
        nginx.world.launcher.last.exits("exit status 22")
        assert "<h1>Temporarily unavailable</h1>" in await (await held).text()


async def test_a_request_that_ran_is_repeated_if_its_vassal_says_so() -> None:
    for repeat, status in ((Repeat.NEVER, 502), (Repeat.SAFE, 200)):
        async with front(World(replace(SPEC, repeat=repeat))) as nginx:
            first = asyncio.create_task(nginx.ask())
            await eventually_async(lambda: nginx.held == 1)
            nginx.world.launcher.last.accepts()
            assert (await first).status == 200
            again = await nginx.ask(tries="11", also={"X-Runs": "1"})
            assert again.status == status
            assert ("was not repeated" in await again.text()) is (status == 502)


@pytest.mark.parametrize(
    ("activation", "may_run", "status"),
    [("socket", "1", 503), ("socket", "0", 502), ("fallback", "1", 502)],
)
async def test_a_connection_that_a_throttled_app_closed_ran_nothing(
    activation: str, may_run: str, status: int
) -> None:
    spec = replace(SPEC, activation=ActivationMode(activation))
    async with front(World(spec)) as nginx:
        first = asyncio.create_task(nginx.ask())
        await eventually_async(lambda: nginx.held == 1)
        nginx.world.launcher.last.exits("exit status 22")
        assert (await first).status == 503
        again = await nginx.ask(tries="11", also={"X-Runs": "1", "X-May-Run": may_run})
        assert again.status == status
        assert ("Retry-After" in again.headers) is (status == 503)


async def test_a_refused_download_is_answered_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with front(World()) as nginx:
        refused = {"X-Refused-File": "/files/a.pdf", "X-Runs": "1"}
        replies = [await nginx.ask(also=refused) for _ in range(2)]
        assert [reply.status for reply in replies] == [502, 502]
        assert "does not send" in await replies[0].text()
        assert not nginx.world.launcher.started
    [warning] = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "'/files/a.pdf' that a.example names in X-Accel-Redirect" in warning
    assert "downloads.conf" in warning


@pytest.mark.parametrize(
    ("runs", "may_run", "head_bytes", "page"),
    [
        ("", "1", "60000", None),
        ("1", "1", "7000", None),
        ("1", "1", "7793", Page.LARGE_HEAD),
        ("1", "0", "7793", Page.LARGE_HEAD),
        ("1", "0", "7000", Page.FAILED),
        ("", "0", "", Page.FAILED),
        ("", "", "-1", None),
    ],
)
def test_a_head_is_too_large_only_after_its_app_has_refused_it(
    runs: str, may_run: str, head_bytes: str, page: Page | None
) -> None:
    hit = Hit.of({"X-Runs": runs, "X-May-Run": may_run, "X-Head-Bytes": head_bytes})
    answer = failure(hit, replace(SPEC, repeat=Repeat.SAFE, head_bytes=8192))
    assert (answer and answer.page) == page


async def test_pages_load_nothing_from_other_servers() -> None:
    async with front(World(), settings(page_after="0")) as nginx:
        text = await (await nginx.ask(navigates=True)).text()
    for outside in ("http://", "https://", "src=", "href=", "@import", "url("):
        assert outside not in text
    assert 'lang="en"' in text
    assert 'name="viewport"' in text


@pytest.mark.parametrize("domain", ["", "..", "a/b", "A.example", "x" * 88, "a b", "ü.example"])
async def test_what_is_no_domain_is_400(domain: str) -> None:
    async with front(World()) as nginx:
        assert (await nginx.ask(domain)).status == 400


async def test_an_unknown_domain_is_404_and_a_refused_ini_503() -> None:
    async with front(World(), inis=FakeInis(["bad.example"])) as nginx:
        assert (await nginx.ask("unknown.example")).status == 404
        reply = await nginx.ask("bad.example")
        assert reply.status == 503
        assert reply.headers["Retry-After"] == "30"
        text = await reply.text()
        assert "secret" not in text
        assert "tried again" not in text, "an ini is read again only after a change"


async def test_a_failed_start_answers_all_held_requests_at_once() -> None:
    async with front(World()) as nginx:
        held = [asyncio.create_task(nginx.ask()) for _ in range(3)]
        await eventually_async(lambda: nginx.held == 3)
        nginx.world.launcher.last.exits("exit status 22: a secret of the tenant's")
        replies = [await hit for hit in held] + [await nginx.ask()]
        assert [reply.status for reply in replies] == [503] * 4
        assert {reply.headers["Retry-After"] for reply in replies} <= {"1", "2"}
        assert "secret" not in await replies[0].text()
        assert len(nginx.world.launcher.started) == 1


async def test_a_held_request_times_out() -> None:
    spec = replace(World().spec, start_timeout=0.01, stop_timeout=0.01)
    async with front(World(spec)) as nginx:
        reply = await nginx.ask()
        assert reply.status == 503
        assert reply.headers["Retry-After"] == "5"
        assert "too long" in await reply.text()
        assert nginx.held == 0


async def test_a_request_gives_way_to_one_of_another_user(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    world.add("greedy.example", Identity(1002, 1002, None))
    async with front(world, settings(max_held="3")) as nginx:
        greedy = [asyncio.create_task(nginx.ask("greedy.example")) for _ in range(3)]
        held = nginx.activation.admission
        await eventually_async(lambda: held.total == 3)
        first = asyncio.create_task(nginx.ask())
        await eventually_async(lambda: nginx.held == 1)
        assert (held.held("greedy.example"), held.turned_away) == (2, 1)
        [turned_away], _ = await asyncio.wait(greedy, return_when=asyncio.FIRST_COMPLETED)
        assert turned_away.result().status == 503
        assert turned_away.result().headers["Retry-After"] == "5"
        for process in world.launcher.started:
            process.accepts()
        assert (await first).status == 200
        assert sorted([(await hit).status for hit in greedy]) == [200, 200, 503]
        assert held.total == 0
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        "2 requests are held for apps of uid 1002, and new ones are answered 503, since others need"
        " a place (max-held)"
    ]


async def test_a_request_beyond_the_limit_gets_503_and_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with front(World(), settings(max_held_per_domain="2")) as nginx:
        held = [asyncio.create_task(nginx.ask()) for _ in range(2)]
        await eventually_async(lambda: nginx.held == 2)
        program = await nginx.ask()
        assert (program.status, program.headers["Retry-After"]) == (503, "5")
        page = await nginx.ask(navigates=True)
        assert "<h1>Too many visitors</h1>" in await page.text()
        assert nginx.activation.admission.turned_away == 2
        nginx.world.launcher.last.accepts()
        assert [(await hit).status for hit in held] == [200, 200]
        assert (await nginx.ask()).status == 200
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        "2 requests are held for a.example, and more are answered 503 (max-held-per-domain)"
    ]


async def test_the_timeout_begins_when_the_app_may_boot() -> None:
    world = World(replace(World().spec, start_timeout=0.01, stop_timeout=0.01), max_starting="1")
    world.hit(world.add("b.example"))
    async with front(world) as nginx:
        queued = asyncio.create_task(nginx.ask("a.example"))
        await eventually_async(lambda: nginx.held == 1)
        booting = await nginx.ask("b.example")
        assert booting.status == 503
        assert not queued.done(), "it waits longer than its start-timeout"
        world.launcher.last.accepts()
        assert (await queued).status == 503


async def test_a_request_from_a_browser_raises_the_priority() -> None:
    world = World(None, max_starting="1")
    world.hit()
    others = [world.add(f"{name}.example") for name in "bc"]
    for vassal in others:
        world.hit(vassal)
    async with front(world, settings(page_after="0")) as nginx:
        await nginx.ask("c.example", navigates=True)
        assert world.governor.boot_positions() == {others[1]: 1, others[0]: 2}


async def test_a_stop_and_a_removal_answer_held_requests() -> None:
    async with front(World()) as nginx:
        first = asyncio.create_task(nginx.ask())
        await eventually_async(lambda: nginx.held == 1)
        nginx.world.governor.order(nginx.world.vassal, Event.IDLE, "emperorctl sleep")
        assert (await first).status == 503
        nginx.world.launcher.last.exits()
        second = asyncio.create_task(nginx.ask())
        await eventually_async(lambda: nginx.held == 1)
        nginx.world.governor.dismiss("a.example")
        assert (await second).status == 404


async def test_a_daemon_that_stops_says_so_to_all() -> None:
    async with front(World()) as nginx:
        held = asyncio.create_task(nginx.ask())
        await eventually_async(lambda: nginx.held == 1)
        nginx.activation.stop()
        nginx.world.governor.dismiss("a.example")
        assert (await held).status == 503
        assert (await nginx.ask("unknown.example")).status == 503


@pytest.mark.parametrize("end", ["dies", "is idle", "is evicted"])
async def test_a_delayed_request_wakes_an_app_that_ended_again(end: str) -> None:
    full, free = QueueLength(100, 100), QueueLength(0, 100)
    lengths = [full]
    async with front(World(), lengths=lengths) as nginx:
        world = nginx.world
        process = world.run()
        hit = asyncio.create_task(nginx.ask(tries="11"))
        await eventually_async(lambda: nginx.held == 1)
        if end == "dies":
            process.exits("killed by SIGSEGV")
        else:
            world.governor.order(world.vassal, Event.IDLE, end)
        lengths[:] = [free]
        await eventually_async(lambda: len(world.launcher.started) == 2)
        world.launcher.last.accepts()
        assert (await hit).status == 200
