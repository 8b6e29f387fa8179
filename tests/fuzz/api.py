"""schemathesis asks for each endpoint of the control API, and compares each answer with the table
of endpoints. `make soak` runs this file; it needs the extra `fuzz`."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from emperor.web.aiohttp_server import web
from tests.fuzz.exchange import CALLERS, fake_emperor
from tests.fuzz.openapi import document

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]
SCHEMA = schemathesis.openapi.from_dict(document())


@pytest.fixture(scope="module", params=CALLERS, ids=["administrator", "tenant"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a daemon answers that has fakes of the core, on TCP, since schemathesis knows no unix
    socket. Its streams end at once."""
    fake = fake_emperor(tmp_path_factory.mktemp("run"))
    fake.caller, fake.ends_with_events = request.param, True
    runner = web.AppRunner(fake.application, shutdown_timeout=0.1, handler_cancellation=True)

    async def start() -> str:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        await fake.control.end_streams(fake.application)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    thread = threading.Thread(target=fake.loop.run_forever)
    thread.start()
    yield asyncio.run_coroutine_threadsafe(start(), fake.loop).result()
    asyncio.run_coroutine_threadsafe(runner.cleanup(), fake.loop).result()
    fake.loop.call_soon_threadsafe(fake.loop.stop)
    thread.join()
    fake.loop.close()


def _conforms(case: Any, url: str) -> None:
    case.call_and_validate(base_url=url, checks=CHECKS, timeout=30)


test_each_answer_is_what_the_table_says = SCHEMA.parametrize()(_conforms)
