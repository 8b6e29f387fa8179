"""Sends notices by one sender: one after the other, again where that may help, never too many."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from emperor.guarded import guarded
from emperor.model.admission import Bursts
from emperor.model.notice import Fate, Notice, retry_seconds
from emperor.model.ports import Gate
from emperor.notices.senders import Delivery, DeliveryStatus, Sender

log = logging.getLogger("emperord.channel")

MOST_WAITING = 100

# Told the name of the sender.
Count = Callable[[str, Fate], None]


@dataclass(frozen=True, slots=True)
class ChannelPorts:
    """What a channel needs: `chance` spreads the retries, and `now` is the time of day."""

    gate: Gate
    tasks: asyncio.TaskGroup
    chance: Callable[[], float]
    now: Callable[[], datetime]


class Channel:
    """The notices that wait for one sender. Without any it has no task and no timer."""

    def __init__(self, sender: Sender, ports: ChannelPorts, count: Count) -> None:
        self._sender = sender
        self._ports = ports
        self._count = count
        self._waiting: deque[Notice] = deque()
        self._task: asyncio.Task[None] | None = None
        self._drops = Bursts()
        self._is_failing = False

    @property
    def name(self) -> str:
        """The setting that it follows."""
        return self._sender.name

    @property
    def waiting(self) -> tuple[Notice, ...]:
        """What was not sent yet. The first one may be on its way."""
        return tuple(self._waiting)

    def put(self, notice: Notice) -> None:
        """Send it soon. The oldest one is dropped where too many wait."""
        if len(self._waiting) >= MOST_WAITING:
            # The first one is being sent.
            del self._waiting[1]
            self._count(self.name, Fate.DROPPED)
            if self._drops.begins(self.name, asyncio.get_running_loop().time()):
                log.warning(
                    "%d notices wait for %s, and older ones are dropped; the metric"
                    " emperord_notices_total counts them", MOST_WAITING, self._sender.where,
                )  # fmt: skip
        self._waiting.append(notice)
        if self._task is None:
            self._task = self._ports.tasks.create_task(self._send_all())

    async def once(self, notice: Notice) -> Delivery:
        """Send it now, without another try."""
        delivery = await self._ports.gate.repeat(partial(self._attempt, notice))
        self._count(self.name, Fate.SENT if delivery.is_sent else Fate.FAILED)
        return delivery

    def stop(self) -> None:
        """Send nothing any more. What was not sent stays in `waiting`."""
        if self._task is not None:
            self._task.cancel()

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                is_sent = False
                with guarded(log, "send notices"):
                    is_sent = await self._send(self._waiting[0])
                # Also after a fault, which this notice might meet again.
                self._waiting.popleft()
                with guarded(log, "count notices"):
                    self._count(self.name, Fate.SENT if is_sent else Fate.FAILED)
        finally:
            self._task = None

    async def _send(self, notice: Notice) -> bool:
        """Whether it was sent, at once or by a later try."""
        tried = 0
        while True:
            delivery = await self._ports.gate.repeat(partial(self._attempt, notice))
            tried += 1
            pause = None
            if delivery.status is DeliveryStatus.RETRY:
                pause = retry_seconds(tried, self._ports.chance())
            self._tell(delivery, pause)
            if delivery.is_sent or pause is None:
                return delivery.is_sent
            await asyncio.sleep(pause)

    async def _attempt(self, notice: Notice) -> Delivery:
        try:
            return await self._sender.send(notice, self._ports.now())
        except Exception as error:
            # It must not end the daemon.
            log.exception("cannot send a notice: a fault in emperord")
            return Delivery(DeliveryStatus.FAILED, f"a fault in emperord: {type(error).__name__}")

    def _tell(self, delivery: Delivery, pause: float | None) -> None:
        """One line when sending begins to fail, and one when it works again."""
        if not delivery.is_sent and not self._is_failing:
            then = "given up" if pause is None else "tried again"
            log.warning(
                "cannot send a notice to %s: %s; it is %s", self._sender.where, delivery.why, then
            )
        elif delivery.is_sent and self._is_failing:
            log.info("notices reach %s again", self._sender.where)
        self._is_failing = not delivery.is_sent
