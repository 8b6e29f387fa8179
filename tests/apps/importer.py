"""Tells where its Python finds packages, and the place of the module that the query names."""

import importlib
import json
import os
import sys
from collections.abc import Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The answer is JSON: prefix, path, environment, and the module's file or why there is none."""
    try:
        place = importlib.import_module(environ["QUERY_STRING"] or "sys").__dict__.get("__file__")
    except ImportError as error:
        place = str(error)
    told = {
        "prefix": sys.prefix,
        "version": ".".join(map(str, sys.version_info[:2])),
        "path": sys.path,
        "module": place,
        "environment": dict(os.environ),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
