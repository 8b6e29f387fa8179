"""Inis that name several apps, take an app from a URL, or use a variable of a user. See inis.py for
the words in capitals."""

from tests.journeys.ini_case import APP, AS_ROOT, AS_WEB, Case, bad, good

_NOT_ROOT = "[emperor]\nallow-root = false\n"
# uWSGI takes the first one that it can load, in an order of its own.
_SEVERAL = (
    good("file-beside", "file = SITE/no.py\nchdir = SITE\nmodule = app\n", ":2: warning: there is"),
    good("beside-file", "chdir = SITE\nmodule = app\nfile = SITE/no.py\n", "takes module = app"),
    good("module-beside", f"{APP}module = nosuch\n", ":3: warning: there is no module nosuch in"),
    bad("both-missing", "file = SITE/no.py\nmodule = nosuch\n", ":3: error: there is no module"),
    good("mount-beside", "file = SITE/no.py\nmount = /x=SITE/app.py\n", ":2: warning: there is no"),
    bad("beside-mount", f"{APP}mount = /=SITE/no.py\n", ":3: error: there is no SITE/no.py"),
    good("beside-mounted", f"{APP}mount = /x=nosuch:app\n", ":3: warning: there is no module nos"),
    good("mounted-twice", "mount = /x=SITE/app.py\nmount = /x=SITE/no.py\n", ":3: warning: there"),
    bad("mounts-missing", "mount = /x=nosuch:a\nmount = /y=nosuch:b\n", ":3: error: there is no"),
    good("eval-beside", f"{APP}eval = import nosuch\n", ":3: warning: the code of eval, line 1,"),
    bad("beside-eval", "file = SITE/no.py\neval = import nosuch\n", ":3: error: the code of eval"),
    good("paste-beside", f"{APP}paste = config:SITE/no.ini\n", ":3: warning: paste needs the mod"),
    bad(
        "beside-paste", "file = SITE/no.py\npaste = config:SITE/no.ini\n", ":3: error: paste needs"
    ),
    good("unset-beside", "file = $(NO)/a.py\nchdir = SITE\nmodule = app\n", ":2: warning: file = "),
    good("empty-beside", "file =\nchdir = SITE\nmodule = app\n", "would be served"),
    good(
        "secret-beside", f"file = SITE/secret.py\nmodule = app\nchdir = SITE\n{AS_WEB}", "games ma"
    ),
    bad(
        "psgi-alone", "file = SITE/no.py\npsgi = SITE/app.psgi\n", ":2: error: there is no SITE/no"
    ),
    good("named-twice", f"file =\n{APP}"),
    good("package-file", "file = SITE/wsgi-package\n"),
)
_URLS = (
    good("url-http", "file = http://127.0.0.1:ANSWERED/app.py\n"),
    good("url-as-web", f"file = http://127.0.0.1:ANSWERED/app.py\n{AS_WEB}"),
    bad("url-404", "file = http://127.0.0.1:ANSWERED/no.py\n", "uWSGI gets no source from http"),
    bad("url-import", "file = http://127.0.0.1:ANSWERED/importing.py\n", "imports nosuchpackage"),
    bad("url-refused", "wsgi-file = http://127.0.0.1:PORT/app.py\n", "gets no source from http"),
    bad("url-silent", "file = http://127.0.0.1:TAKEN/app.py\n", "gets no source from http"),
    bad("url-elsewhere", "file = http://192.0.2.1/app.py\n", "as it waits for no connection"),
    bad("url-https", "file = https://www.a.example/app.py\n", "there is no "),
    bad("url-file", "file = file://SITE/app.py\n", "there is no "),
    bad("url-mount", "mount = /=http://127.0.0.1:PORT/app.py\n", "uWSGI gets no source from http"),
    bad("url-beside", f"{APP}import = http://127.0.0.1:PORT/a.py\n", ":3: error: uWSGI gets no so"),
    good("url-exec", "file = exec://cat SITE/app.py\n", "check does not run the command of file"),
    bad("url-exec-no", "file = exec://nosuch SITE/app.py\n", "there is no program nosuch"),
    bad("url-fd", "file = fd://0\n", "fd://0 is no source of Python"),
    bad("url-sym", "file = sym://app\n", "sym://app is no source of Python"),
)
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
    bad(
        "unset-closed",
        f"chdir = SITE\n{APP}http-socket = $(NO_SUCH)\n{AS_WEB}",
        "$(NO_SUCH) has no value",
    ),
    good("unset-there", f"chdir = SITE/run\n{APP}socket = $(NO_SUCH)\n{AS_WEB}"),
    good("unset-port", f"{APP}http-socket = :$(NO_SUCH)\n"),
    good("unset-number", f"{APP}threads = $(NO_SUCH)\nharakiri = $(NO_SUCH)\n"),
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
    bad("memory-exec", f"{APP}[emperor]\nmemory-max = 6M\nbases = off\n", "alone take 7 MB, so"),
    bad("memory-20", f"{APP}processes = 20\n[emperor]\nmemory-max = 8M\n", "8M is too little"),
    bad(
        "memory-exec-8",
        f"{APP}processes = 2\n[emperor]\nmemory-max = 8M\nbases = off\n",
        "take 9 MB",
    ),
    bad(
        "memory-exec-14", f"{APP}processes = 9\n[emperor]\nmemory-max = 14M\nbases = off\n", "21 M"
    ),
    good(
        "memory-cheaper",
        f"{APP}processes = 9\ncheaper = 1\n[emperor]\nmemory-max = 14M\nbases = off\n",
    ),
    good("memory-exec-40", f"{APP}processes = 4\n[emperor]\nmemory-max = 40M\nbases = off\n"),
    good(
        "memory-8-workers",
        f"{APP}processes = 8\n[emperor]\nmemory-max = 40M\n",
    ),
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

OF_SOURCES: tuple[Case, ...] = (*_SEVERAL, *_URLS, *_VARIABLES, *_LIMITS)
