"""Judges the source of an app that uWSGI reads from a URL, as `file = http://HOST/app.py`
(uwsgi_open_and_read of core/io.c)."""

from collections.abc import Iterator

from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import SCHEMES, Ini
from emperor.uwsgi.programs import Where, judged

_FILES = ("file", "wsgi-file")
# A program that app_source fetches.
HTTP = "http://"


def is_url(value: str) -> bool:
    """Whether uWSGI takes a value for a URL. It knows no https and no file."""
    scheme, colon, _ = value.partition("://")
    return bool(colon) and scheme in SCHEMES


def unreadable_urls(ini: Ini, where: Where) -> Iterator[Finding]:
    """A finding for a file that is a URL, of which uWSGI reads no source. `where`: how uWSGI runs a
    command as it loads the app. That of http is looked at with all other sources."""
    option = ini.last_of(_FILES)
    if option is None or not is_url(option.value) or option.value.startswith(HTTP):
        return
    scheme, _, rest = option.value.partition("://")
    cure = "name a file"
    if scheme != "exec":
        text = f"{option.value} is no source of Python, so the app does not start"
        yield Finding(option.line, Severity.ERROR, text, cure)
    elif problem := judged(rest, where).problem:
        text = f"{problem[0]}, so the app does not start"
        yield Finding(option.line, Severity.ERROR, text, problem[1])
    else:
        text = f"check does not run the command of {option.key}: if it prints no app in Python, the"
        yield Finding(option.line, Severity.NOTE, f"{text} app does not start", cure)
