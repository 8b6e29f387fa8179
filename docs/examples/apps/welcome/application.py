"""A welcome page in plain WSGI, such as a hoster gives to a new customer."""

import os
import time
from collections.abc import Iterable
from html import escape
from wsgiref.types import StartResponse, WSGIEnvironment

BOOTED = time.time()

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Welcome</title>
<h1>Welcome to {host}</h1>
<p>Process {pid} answers. It started {age:.0f} s ago. After some time without requests it ends, and
the next request starts another process.</p>
"""


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer every request with the same page."""
    page = PAGE.format(host=escape(environ["HTTP_HOST"]), pid=os.getpid(), age=time.time() - BOOTED)
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [page.encode()]
