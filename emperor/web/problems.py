"""Turns what goes wrong in a handler of the control API into an answer by RFC 9457."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from emperor.model.problem import CONTENT_TYPE, ProblemCode, problem
from emperor.model.status import as_json
from emperor.model.text import one_line
from emperor.web.aiohttp_server import web

log = logging.getLogger("emperord.problems")

_ROUTER = {
    400: ProblemCode.BAD_REQUEST,
    404: ProblemCode.NO_SUCH_ENDPOINT,
    405: ProblemCode.METHOD_NOT_ALLOWED,
}


class ApiError(Exception):
    """A request that is answered with a problem; the message is its detail."""

    def __init__(self, code: ProblemCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def number(request: web.Request, name: str, default: int) -> int:
    """A number from the query. Raises ApiError."""
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ApiError(ProblemCode.BAD_REQUEST, f"cannot use {name}={text}: it must be a number")
    return int(text)


def moment(request: web.Request, name: str, default: datetime) -> datetime:
    """A time by RFC 3339 from the query. Raises ApiError."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        # Where a + was not encoded, a blank is in its place.
        found = datetime.fromisoformat(text.replace(" ", "+"))
        if found.tzinfo is None:
            raise ValueError("it has no time zone")
        return found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        why = f"cannot use {name}={text}: it must be a time such as 2026-03-01T12:00:00Z"
        raise ApiError(ProblemCode.BAD_REQUEST, why) from error


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer with a problem when a handler or the router raises."""
    asked = f"{request.method} {request.path}"
    try:
        return await handler(request)
    except ApiError as error:
        return _answer(error.code, str(error))
    except web.HTTPException as error:
        code = _ROUTER.get(error.status, ProblemCode.BAD_REQUEST)
        answer = _answer(code, f"cannot answer {asked}: {error.reason}")
        if allowed := error.headers.get("Allow"):
            answer.headers["Allow"] = allowed
        return answer
    except ConnectionError:
        if request.transport is not None and not request.transport.is_closing():
            raise
        # The client has left. aiohttp would log a traceback where this is raised.
        return web.Response()
    except Exception:
        log.exception("cannot answer %s: a fault in emperord", one_line(asked))
        return _answer(ProblemCode.INTERNAL_ERROR, f"cannot answer {asked}: a fault in emperord")


def _answer(code: ProblemCode, detail: str) -> web.Response:
    body = as_json(problem(code, detail))
    return web.json_response(body, status=code.status, content_type=CONTENT_TYPE)
