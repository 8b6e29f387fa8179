"""A welcome page in plain WSGI, as a new customer finds it."""

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
<p>This is process {pid}, which woke {age:.0f} s ago. Leave it alone for a while, come back, and it
will be another one.</p>
"""


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The one page."""
    page = PAGE.format(host=escape(environ["HTTP_HOST"]), pid=os.getpid(), age=time.time() - BOOTED)
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [page.encode()]
