"""Notices that wait for one sender: in their order, again where that helps, and never too many."""

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest

from emperor.handover.gate import Gate
from emperor.model.notice import Fate, Notice, NoticeKind
from emperor.notices.channel import MOST_WAITING, Channel, ChannelPorts
from emperor.notices.senders import Delivery, DeliveryStatus
from tests.eventually import eventually_async

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SENT, AGAIN, REFUSED = (
    Delivery(DeliveryStatus.SENT, "HTTP 204"),
    Delivery(DeliveryStatus.RETRY, "HTTP 500"),
    Delivery(DeliveryStatus.FAILED, "HTTP 404"),
)


def notice(number: int) -> Notice:
    return Notice(str(number), NoticeKind.TEST, NOW, "web1", "a test", 0, ())


class _Sender:
    """Answers with `deliveries`, and then always sends; waits while it is closed."""

    name, where = "notify-url", "https://chat.example.com"

    def __init__(self, *deliveries: Delivery | Exception) -> None:
        self.deliveries = list(deliveries)
        self.tried: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def send(self, notice: Notice, _now: datetime) -> Delivery:
        self.tried.append(notice.id)
        await self.open.wait()
        delivery = self.deliveries.pop(0) if self.deliveries else SENT
        if isinstance(delivery, Exception):
            raise delivery
        return delivery


def _ports(tasks: asyncio.TaskGroup) -> ChannelPorts:
    return ChannelPorts(Gate(), tasks, lambda: 0.5, lambda: NOW)


class _Counts(Counter[str]):
    def count(self, _sender: str, fate: Fate) -> None:
        self[fate.value] += 1


@pytest.mark.parametrize(
    ("deliveries", "tried", "counts"),
    [
        ([], "1 2", {"sent": 2}),
        ([AGAIN, AGAIN], "1 1 1 2", {"sent": 2}),
        ([REFUSED], "1 2", {"failed": 1, "sent": 1}),
        ([AGAIN] * 8, "1 1 1 1 1 1 1 1 2", {"failed": 1, "sent": 1}),
        ([ZeroDivisionError()], "1 2", {"failed": 1, "sent": 1}),
    ],
)
async def test_notices_are_sent_in_their_order(
    deliveries: list[Delivery | Exception],
    tried: str,
    counts: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("emperor.notices.channel.asyncio.sleep", sleep)
    sender, counted = _Sender(*deliveries), _Counts()
    async with asyncio.TaskGroup() as tasks:
        channel = Channel(sender, _ports(tasks), counted.count)
        channel.put(notice(1))
        channel.put(notice(2))
    assert sender.tried == tried.split()
    assert counted == counts
    assert pauses == [2, 6, 18, 54, 120, 180, 240][: len(pauses)]
    assert channel.waiting == ()
    lines = [record.message for record in caplog.records if record.name == "emperord.channel"]
    assert sum("cannot send a notice to" in line for line in lines) == min(1, len(deliveries))


async def test_the_oldest_ones_are_dropped_and_that_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sender, counted = _Sender(), _Counts()
    sender.open.clear()
    async with asyncio.TaskGroup() as tasks:
        channel = Channel(sender, _ports(tasks), counted.count)
        for number in range(MOST_WAITING + 20):
            channel.put(notice(number))
        await eventually_async(lambda: sender.tried == ["0"])
        assert len(channel.waiting) == MOST_WAITING
        sender.open.set()
    assert sender.tried == ["0", *(str(number) for number in range(21, MOST_WAITING + 20))]
    assert counted == {"dropped": 20, "sent": MOST_WAITING}
    assert [r.message for r in caplog.records] == [
        "100 notices wait for https://chat.example.com, and older ones are dropped; the metric"
        " emperord_notices_total counts them"
    ]


async def test_what_is_on_its_way_at_a_stop_still_waits() -> None:
    sender, counted = _Sender(), _Counts()
    sender.open.clear()
    async with asyncio.TaskGroup() as tasks:
        channel = Channel(sender, _ports(tasks), counted.count)
        channel.put(notice(1))
        await eventually_async(lambda: sender.tried == ["1"])
        channel.stop()
    assert [each.id for each in channel.waiting] == ["1"]
    assert not counted


async def test_a_fault_does_not_end_the_sending_of_later_notices(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def faulty(_name: str, _fate: Fate) -> None:
        raise ZeroDivisionError

    sender = _Sender()
    async with asyncio.TaskGroup() as tasks:
        channel = Channel(sender, _ports(tasks), faulty)
        for number in (1, 2):
            channel.put(notice(number))
            await eventually_async(lambda: not channel.waiting)
    assert sender.tried == ["1", "2"]
    assert caplog.text.count("cannot count notices: a fault in emperord") == 2


async def test_a_notice_that_meets_a_fault_keeps_no_others_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def faulty() -> float:
        raise ZeroDivisionError

    sender, counted = _Sender(AGAIN), _Counts()
    async with asyncio.TaskGroup() as tasks:
        ports = ChannelPorts(Gate(), tasks, faulty, lambda: NOW)
        channel = Channel(sender, ports, counted.count)
        channel.put(notice(1))
        channel.put(notice(2))
    assert sender.tried == ["1", "2"]
    assert channel.waiting == ()
    assert counted == {"failed": 1, "sent": 1}
    assert caplog.text.count("cannot send notices: a fault in emperord") == 1
