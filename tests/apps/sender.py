"""Has nginx send the file that its query names."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answers without a body."""
    start_response("200 OK", [("X-Accel-Redirect", unquote(environ["QUERY_STRING"]))])
    return []
