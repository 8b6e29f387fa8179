"""Inis that name several apps, take an app from a URL, or use a variable of a user. See inis.py for
the words in capitals."""

from tests.journeys.ini_case import APP, AS_ROOT, Case, bad, good

_NOT_ROOT = "[emperor]\nallow-root = false\n"
_VARIABLES = (
    good("home-games", f"chdir = $(HOME)\n{APP}", owner="games"),
    good("home-root", f"chdir = $(HOME)\n{APP}"),
    good("home-uid", f"chdir = $(HOME)\n{APP}uid = games\ngid = games\n"),
    # uWSGI changes its user by itself, so it has no variables of either.
    bad(
        "home-drops", f"chdir = $(HOME)\n{APP}uid = 5\ngid = 60\n{AS_ROOT}", "$(HOME) has no value"
    ),
    good("home-included", f"include = SITE/user.ini\nchdir = $(HOME)\n{APP}{_NOT_ROOT}"),
    bad("user-uid", f"{APP}uid = $(USER)\n", "$(USER) of uid has no value, so the app"),
    bad("user-uids", f"{APP}uid = $(USER)\n{_NOT_ROOT}", "its app would run as root"),
    good("user-gid", f"{APP}uid = games\ngid = $(USER)\n"),
    good("users-uid", f"{APP}uid = $(NO_SUCH)\n", owner="games"),
    bad("unset-chdir2", f"{APP}chdir2 = $(NO_SUCH)\n", "$(NO_SUCH) has no value"),
    bad("unset-logto", f"{APP}logto = SITE/$(NO_SUCH)/a.log\n", "$(NO_SUCH) has no value"),
    bad("unset-socket", f"{APP}socket = SITE/$(NO_SUCH)/a.sock\n", "$(NO_SUCH) has no value"),
    good("unset-name", f"{APP}pidfile = SITE/var/$(NO_SUCH).pid\n"),
    good("unset-first", f"chdir = $(NO_SUCH)\nchdir = SITE\n{APP}", "overrules line 2"),
    bad("uid-0", f"{APP}uid = 0\n", "uWSGI looks for a user with the name 0"),
    bad("gid-0", f"{APP}gid = 0\n", "uWSGI looks for a group with the name 0"),
    good("uid-of-root", f"{APP}uid = root\ngid = root\n"),
    good("users-uid-0", f"{APP}uid = 0\n", "and uid = 0 is ignored", owner="games"),
)
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

OF_SOURCES: tuple[Case, ...] = (*_VARIABLES, *_LIMITS)
