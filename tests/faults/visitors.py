"""Visitors from this machine. They send bodies, keep apps busy, and note Retry-After."""

from dataclasses import dataclass

import aiohttp

from tests.eventually import PATIENCE_SECONDS
from tests.fleet.client import Client, Question
from tests.fleet.network import Network

_PATIENCE = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
RETRY = "Retry-After: "


@dataclass(frozen=True, slots=True)
class Errand(Question):
    """What is asked. The app works on it for so many `seconds`; a POST brings `body`."""

    seconds: float = 0.0
    body: bytes = b"posted"


class Visitors(Client):
    """Each comes over a connection of its own. What they are told begins with RETRY when the answer
    says when to come again."""

    def __init__(self) -> None:
        super().__init__(_ThisMachine())

    async def _ask(self, name: str, question: Question) -> tuple[int, str]:
        assert isinstance(question, Errand)
        async with (
            aiohttp.ClientSession(timeout=_PATIENCE) as session,
            session.request(
                question.method,
                f"http://{question.door}/?id={name}&sleep={question.seconds}",
                headers={"Host": question.domain},
                data=question.body if question.method == "POST" else None,
            ) as answer,
        ):
            retry = answer.headers.get("Retry-After")
            text = await answer.text()
            return answer.status, f"{RETRY}{retry}\n{text}" if retry else text


class _ThisMachine(Network):
    """The network that the tests are in."""

    def __init__(self) -> None:
        """Nothing has to be made."""

    def enter(self) -> None:
        """Every thread is in it already."""
