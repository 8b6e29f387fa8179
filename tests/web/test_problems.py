"""What is answered where a handler raises."""

from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from emperor.web.problems import problems


async def _lost(_request: web.Request) -> web.StreamResponse:
    raise ConnectionResetError("Cannot write to closing transport")


def _request(is_closing: bool) -> web.Request:
    transport = Mock()
    transport.is_closing.return_value = is_closing
    return make_mocked_request("GET", "/v1/events", transport=transport)


async def test_a_client_that_has_left_is_no_fault() -> None:
    """As it begins to read a stream, say. aiohttp logs what a handler raises."""
    answer = await problems(_request(is_closing=True), _lost)
    assert answer.status == 200, "nobody reads it"


async def test_another_lost_connection_is_a_fault() -> None:
    with pytest.raises(ConnectionResetError):
        await problems(_request(is_closing=False), _lost)
