"""Makes the records of model/status.py from the API's JSON, by their field names and types.

A field that this version does not know is ignored, so that an older emperorctl can read what a
newer daemon says.
"""

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from emperor.cli.failure import Failed

T = TypeVar("T")


def parse(kind: type[T], text: str | bytes) -> T:
    """A record of `kind` from its JSON. Raises Failed."""
    try:
        record = _reader(kind)(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Failed(
            f"cannot understand emperord's answer: {type(error).__name__}: {error}"
            " (are emperorctl and emperord of one version?)"
        ) from error
    assert isinstance(record, kind)
    return record


def _reader(kind: Any) -> Callable[[Any], Any]:
    """A function from a JSON value to `kind`; it raises ValueError, TypeError or KeyError."""
    if is_dataclass(kind):
        return _dataclass_reader(kind)
    if get_origin(kind) is UnionType:
        (present,) = (_reader(option) for option in get_args(kind) if option is not NoneType)
        return lambda value: None if value is None else present(value)
    if get_origin(kind) is tuple:
        item = _reader(get_args(kind)[0])
        return lambda value: tuple(map(item, _checked(list, value)))
    return _scalar_reader(kind)


def _scalar_reader(kind: type) -> Callable[[Any], Any]:
    if issubclass(kind, Enum):
        return kind
    if kind is datetime:
        return _moment
    if kind is float:
        return lambda value: float(_checked((int, float), value))
    return lambda value: _checked(kind, value)


def _dataclass_reader(kind: Any) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}

    def read(value: Any) -> Any:
        return kind(**{name: reader(value[name]) for name, reader in readers.items()})

    return read


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(_checked(str, value))
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return moment


def _checked(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} where {kind} was expected")
    return value
