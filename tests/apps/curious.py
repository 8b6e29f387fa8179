"""Tells what a program prints that its ini names in PROGRAM."""

import os
import subprocess
from collections.abc import Iterable
from typing import Any


def application(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The program's exit status is the answer's."""
    told = subprocess.run(
        os.environ["PROGRAM"],
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    status = "500 Failed" if told.returncode else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [told.stdout]
