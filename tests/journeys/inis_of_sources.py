"""Inis that name several apps, take an app from a URL, or use a variable of a user. See inis.py for
the words in capitals."""

from tests.journeys.ini_case import APP, Case, bad, good

# Limits in which uWSGI has no place.
_LIMITS = (
    bad("memory-1", f"{APP}[emperor]\nmemory-max = 1M\n", "= 1M is too little: uWSGI and Python"),
    bad("memory-exec", f"{APP}[emperor]\nmemory-max = 7M\nbases = off\n", "alone take 8 MB, so"),
    bad("memory-20", f"{APP}processes = 20\n[emperor]\nmemory-max = 8M\n", "8M is too little"),
    good("memory-12", f"{APP}[emperor]\nmemory-max = 12M\n"),
    bad(
        "pids-spooler", f"{APP}spooler = SITE/var\n[emperor]\npids-max = 2\n", "2 is too small for"
    ),
    bad("pids-alarm", f"{APP}alarm = a cmd:true\n[emperor]\npids-max = 2\n", "2 is too small for"),
    good("pids-3", f"{APP}spooler = SITE/var\n[emperor]\npids-max = 3\n"),
    good("pids-4", f"{APP}processes = 4\n[emperor]\npids-max = 2\n", "the 5 processes and threads"),
    bad("files-29", f"{APP}processes = 29\nmax-fd = 64\n", "max-fd = 64 is too small: uWSGI alone"),
    bad("files-emperor", f"{APP}processes = 29\n[emperor]\nnofile = 64\n", "nofile = 64 is too sm"),
    bad("files-mules", f"{APP}mules = 14\nmax-fd = 64\n", "max-fd = 64 is too small"),
    good("files-27", f"{APP}processes = 27\nmax-fd = 64\n"),
)

OF_SOURCES: tuple[Case, ...] = _LIMITS
