"""The app of each tenant, whatever hosts it: it runs the Python code of a request as its user, and
answers with what the code adds to `told`."""

import colorsys  # noqa: F401  a module that a tenant can put beside the app
import os
from collections.abc import Callable, Iterable
from typing import Any

_BOOT = "boot.py"
if os.path.exists(_BOOT):
    with open(_BOOT, encoding="utf-8") as file:
        exec(file.read())


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The code may name the status and headers of the answer in `head`."""
    code = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    names: dict[str, Any] = {"environ": environ, "told": [], "head": ("200 OK", [])}
    exec(code, names)
    start_response(*names["head"])
    return [" ".join(map(str, names["told"])).encode()]
