"""Counts on its standard error, a number on a line, until there is a file QUIET."""

import os
from collections.abc import Iterable
from itertools import count
from typing import Any


def application(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answers how many lines it has written."""
    for written in count():
        if os.path.exists(os.environ["QUIET"]):
            break
        os.write(2, b"%d\n" % written)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(written).encode()]
