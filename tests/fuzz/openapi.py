"""The control API as OpenAPI, from the table of its endpoints and the records of its answers."""

from collections.abc import Iterable
from typing import Any

import msgspec

from emperor.model.problem import CONTENT_TYPE, Problem, ProblemCode
from emperor.web.control import ORDERS
from emperor.web.endpoints import ENDPOINTS, Endpoint

_REFERENCE = "#/components/schemas/{name}"
_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
_SCHEMAS = {
    "domain": _TEXT,
    "host": _TEXT,
    "order": {"enum": list(ORDERS)},
    "lines": _NUMBER,
    "past": _NUMBER,
    "most": _NUMBER,
    "since": {"type": "string", "format": "date-time"},
    "follow": {"enum": ["0", "1"]},
    "match": _TEXT,
    "measure": _TEXT,
}
# What each endpoint may answer: to a tenant, and to a path that is not valid.
_ALWAYS = (ProblemCode.FORBIDDEN, ProblemCode.BAD_REQUEST, ProblemCode.NO_SUCH_ENDPOINT)
_KINDS = {"/metrics": "text/plain", "/log": "text/plain", "/events": "application/x-ndjson"}


def document() -> dict[str, Any]:
    """The whole document."""
    records = [each.answer for each in ENDPOINTS if isinstance(each.answer, type)]
    _, schemas = msgspec.json.schema_components([*records, Problem], ref_template=_REFERENCE)
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "emperord", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    in_path = [name for name in ("domain", "host", "order") if f"{{{name}}}" in endpoint.path]
    in_query = [name for name, _ in endpoint.parameters]
    return {
        "summary": endpoint.summary,
        "parameters": [
            *(_parameter(name, "path", is_required=True) for name in in_path),
            *(_parameter(name, "query", is_required=False) for name in in_query),
        ],
        "responses": {
            str(endpoint.status): _answer(endpoint),
            **_problems([*_ALWAYS, *endpoint.problems]),
        },
    }


def _parameter(name: str, place: str, is_required: bool) -> dict[str, Any]:
    return {"name": name, "in": place, "required": is_required, "schema": _SCHEMAS[name]}


def _answer(endpoint: Endpoint) -> dict[str, Any]:
    if isinstance(endpoint.answer, type):
        reference = {"$ref": _REFERENCE.format(name=endpoint.answer.__name__)}
        return _content(endpoint.summary, "application/json", reference)
    end = next((end for end in _KINDS if endpoint.path.endswith(end)), "")
    kind = _KINDS.get(end, "application/json")
    return _content(endpoint.summary, kind, {"type": "object"} if not end else _TEXT)


def _problems(codes: Iterable[ProblemCode]) -> dict[str, Any]:
    reference = {"$ref": _REFERENCE.format(name=Problem.__name__)}
    return {str(code.status): _content(code.title, CONTENT_TYPE, reference) for code in codes}


def _content(words: str, kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": words, "content": {kind: {"schema": schema}}}
