"""Shuts the listener down for all who hold it, and ends its process group."""

import os
import signal
import socket
from collections.abc import Iterable
from typing import Any


def application(_environ: dict[str, Any], _start_response: Any) -> Iterable[bytes]:
    """No answer."""
    socket.socket(fileno=3).shutdown(socket.SHUT_RDWR)
    os.killpg(os.getpgrp(), signal.SIGKILL)
    return []
