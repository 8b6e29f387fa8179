"""Inis that vary each option which emperord, or an option that it gives uWSGI, touches.

SITE stands for a folder of an app, OWN for the socket of the domain, SOCKETS for the folder of all
sockets, PORT for a free port, SAME for one of several inis, TAKEN for one where somebody listens.
In SITE:

- `app.py`, `bin/app.py` and `package/wsgi.py`, the same app; `secret.py`, only for root
- `odd.ini` and `bad.ini`, with something to say of their lines
- `sticky`, where www-data may write, with root's `fifo`
- `run`, where www-data may write; `closed`, which only root may enter, with `app.py`
- apps that lack something: `syntax.py`, `importing.py`, and `importing2.py`, which needs `pack_2`
- `cert.pem` and `key.pem`; `venv`, a virtual environment of this Python that has `pack_2`
- `venv-other`, one of another Python that has `pack_2`; `no-venv`, an empty folder
"""

from dataclasses import dataclass
from typing import Any

_APP = "file = SITE/app.py\n"
_AS_WEB = "[emperor]\nuid = www-data\n"
_PLAIN = "socket = 127.0.0.1:PORT\n"


@dataclass(frozen=True, slots=True)
class Case:
    """An ini with the [uwsgi] options `text`, which may go on with [emperor]. `says` is a part of
    what `check` prints about it. `after`: the case whose app must run already. `speaks_http`: its
    socket is for a front end that speaks http."""

    name: str
    text: str
    serves: bool
    says: str = "would be served"
    owner: str = "root"
    mode: int = 0o644
    after: str = ""
    speaks_http: bool = False


def _good(name: str, text: str, says: str = "would be served", **more: Any) -> Case:
    return Case(name, text, True, says, **more)


def _bad(name: str, text: str, says: str, **more: Any) -> Case:
    return Case(name, text, False, says, **more)


_WORKERS = (
    _good("processes", f"{_APP}processes = 2\n"),
    _good("workers", f"{_APP}workers = 2\ncheaper = 1\n"),
    _good("threads", f"{_APP}threads = 2\n"),
    _good("cheap", f"{_APP}cheap = true\n", "emperord runs it with cheap=false"),
    _good("no-master", f"{_APP}master = false\n", "a master all the same"),
    _good("lazy-apps", f"{_APP}lazy-apps = true\n"),
    _good("cheaper-0", f"{_APP}cheaper = 0\n"),
    _bad("no-workers", f"{_APP}processes = 0\n", "no worker accepts requests"),
    _bad("auto-workers", f"{_APP}processes = auto\n", "processes = auto counts as 0"),
    _bad("unset-workers", f"{_APP}workers = $(NO_SUCH)\n", "since that variable is not set"),
    _bad("negative-workers", f"{_APP}processes = -1\n", "processes = -1 is out of range"),
    _good("worker-per-core", f"{_APP}processes = %k\n"),
    _good("workers-last", f"{_APP}processes = 0\nworkers = 1 ; one\n"),
    _bad("no-greenlets", f"{_APP}gevent = true\n", "so no worker can handle a request"),
    _bad("cheaper", f"{_APP}processes = 2\ncheaper = 2\n", "cheaper = 2 is not below processes"),
    _bad("cheaper-alone", f"{_APP}cheaper = 1\n", "cheaper = 1 is not below processes = 1"),
    _bad("lifetime", f"{_APP}max-worker-lifetime = 9\n", "is not above min-worker-lifetime"),
    _bad("rss", f"{_APP}processes = 2\ncheaper = 1\ncheaper-rss-limit-soft = 99\n", "memory-rep"),
    _bad("loop", f"{_APP}loop = nosuch\n", "this uWSGI has no loop 'nosuch'"),
    _bad("loop-async", f"{_APP}loop = async\n", "loop = async needs async"),
)

_USERS = (
    _good("tenant", f"chdir = SITE\n{_APP}", owner="www-data"),
    _good("emperor-uid", _APP + _AS_WEB),
    _good("uwsgi-uid", f"{_APP}uid = www-data\ngid = www-data\n"),
    _good("uid-number", f"{_APP}uid = 33\n", "leaves the app in the group root"),
    _good("tenants-uid", f"{_APP}uid = root\n", "and uid = root is ignored", owner="www-data"),
    _good("tenants-gid", f"{_APP}gid = root\n", "and gid = root is ignored", owner="www-data"),
    _good("two-uids", f"{_APP}uid = nobody\n{_AS_WEB}", "[emperor] has the app run as www-data"),
    _bad("tenants-chroot", f"{_APP}chroot = /\n", "may not chroot", owner="www-data"),
    _bad("no-user", f"{_APP}uid = nosuchuser\n", "there is no user 'nosuchuser'"),
    _bad("no-group", f"{_APP}gid = nosuchgroup\n", "there is no group 'nosuchgroup'"),
    _bad("add-gid", f"{_APP}uid = 33\ngid = 33\nadd-gid = nosuch\n", "there is no group 'nosuch'"),
    _bad("other-number", f"{_APP}uid = 1\n", "only root can change to uid 1", owner="www-data"),
    _bad("no-emperor-user", f"{_APP}[emperor]\nuid = nosuchuser\n", "there is no user"),
    Case("closed-ini", _APP + _AS_WEB, False, "www-data may not read it", mode=0o600),
    Case("tenants-ini", _APP, True, owner="www-data", mode=0o600),
)

_APPS = (
    _good("chdir", "chdir = SITE\nfile = app.py\n"),
    _good("module", "chdir = SITE\nmodule = app:application\n"),
    _good("pythonpath", "pythonpath = SITE\nmodule = app\n"),
    _good("mount", "mount = /=SITE/app.py\n"),
    _good("chdir2", f"{_APP}chdir2 = SITE/run\n"),
    _good("placeholder", "base = SITE\nchdir = %(base)\nwsgi-file = app.py\n"),
    _good("root-reads", "file = SITE/secret.py\n"),
    _good("root-enters", "chdir = SITE/closed\nfile = app.py\n"),
    _bad("no-file", "file = SITE/no.py\n", "there is no SITE/no.py"),
    _bad("colon", "wsgi-file = SITE/app.py:application\n", "and callable = application"),
    _bad("folder", "file = SITE/run\n", "SITE/run is a folder"),
    _bad("no-chdir", "chdir = SITE/no\nfile = app.py\n", "there is no folder SITE/no"),
    _bad("no-chdir2", f"{_APP}chdir2 = SITE/no\n", "there is no folder SITE/no"),
    _bad("no-base", "base = SITE/no\nchdir = %(base)\nfile = app.py\n", "no folder SITE/no"),
    _bad("no-app", "threads = 2\n", "it names no app"),
    _bad("static-only", "static-map = /s=SITE\nneed-app = true\n", "need-app asks for an app"),
    _bad("no-mount", "mount = /=SITE/no.py\n", "there is no SITE/no.py"),
    _bad("no-worker-mount", "worker-mount = /=SITE/no.py\n", "there is no SITE/no.py"),
    _bad("no-mounted-module", "mount = /=nosuch:app\n", "there is no module nosuch in"),
    _bad("no-mounted-callable", "mount = /=app:nosuch\nchdir = SITE\n", "defines no nosuch"),
    _good("mounted-module", "mount = /=app:application\nchdir = SITE\n"),
    _bad("called", f"{_APP}callable = make()\n", "and calls nothing"),
    _bad("empty-file", "file =\n", "file is empty, so it names no app"),
    _bad("no-gevent", f"{_APP}gevent = 10\nvenv = SITE/venv\n", "its loop needs the module gevent"),
    _good("psgi-beside", f"{_APP}psgi = SITE/app.psgi\n", "uWSGI's plugin psgi"),
    _bad("secret", f"file = SITE/secret.py\n{_AS_WEB}", "www-data may not read SITE/secret.py"),
    _bad("closed", f"file = SITE/closed/app.py\n{_AS_WEB}", "www-data may not enter SITE/closed"),
    _bad("closed-chdir", f"chdir = SITE/closed\nfile = app.py\n{_AS_WEB}", "may not enter SITE/cl"),
    _bad("uid-closed", "uid = 33\nchdir = SITE/closed\nfile = app.py\n", "may not enter SITE/clos"),
    _bad("tenant-closed", "chdir = SITE/closed\nfile = app.py\n", "may not enter SITE/closed",
         owner="www-data"),
)  # fmt: skip

_PYTHONS = (
    _good("venv", f"{_APP}virtualenv = SITE/venv\n"),
    _good("home", f"{_APP}home = SITE/venv\n{_AS_WEB}"),
    _good("venv-other", f"{_APP}virtualenv = SITE/venv-other\n", "of another Python"),
    _bad("no-venv", f"{_APP}virtualenv = SITE/nowhere\n", "there is no folder SITE/nowhere"),
    _bad("empty-venv", f"{_APP}virtualenv = SITE/no-venv\n", "is no virtual environment"),
    _bad("closed-venv", f"{_APP}venv = SITE/closed\n{_AS_WEB}", "may not enter SITE/closed"),
)

_FILES = (
    _good("pidfile", f"{_APP}pidfile = SITE/run/pidfile.pid\nvacuum = true\n"),
    _good("pidfile2", f"{_APP}chdir = SITE\npidfile2 = run/pidfile2.pid\n{_AS_WEB}"),
    _good("safe-pidfile", f"{_APP}safe-pidfile = SITE/run/safe.pid\n"),
    _good("logto", f"{_APP}logto = SITE/run/logto.log\n", "`emperorctl logs"),
    _good("logto2", f"{_APP}uid = 33\ngid = 33\nlogto2 = SITE/run/logto2.log\n"),
    _good("daemonize", f"{_APP}daemonize = SITE/run/daemonize.log\n", "`emperorctl logs"),
    _good("log-udp", f"{_APP}logto = 127.0.0.1:PORT\n"),
    _good("spooler", f"{_APP}spooler = SITE/run\n"),
    _good("new-spooler", f"{_APP}spooler = SITE/run/spool\n"),
    _good("master-fifo", f"{_APP}master-fifo = SITE/run/fifo\n"),
    _good("stats", f"{_APP}stats = SITE/run/stats.sock\n"),
    _good("stats-port", f"{_APP}stats = 127.0.0.1:PORT\n"),
    _bad("no-pidfile", f"{_APP}pidfile = SITE/no/a.pid\n", "there is no folder SITE/no"),
    _bad("no-pidfile2", f"{_APP}chdir = SITE\npidfile2 = no/a.pid\n", "no folder SITE/no"),
    _bad("no-safe-pidfile", f"{_APP}safe-pidfile2 = SITE/no/a.pid\n", "no folder SITE/no"),
    _bad("no-logto", f"{_APP}logto = SITE/no/a.log\n", "there is no folder SITE/no"),
    _bad("no-logto2", f"{_APP}logto2 = SITE/no/a.log\n", "there is no folder SITE/no"),
    _bad("no-daemonize", f"{_APP}daemonize = SITE/no/a.log\n", "there is no folder SITE/no"),
    _bad("no-spooler", f"{_APP}spooler = SITE/no/spool\n", "there is no folder SITE/no"),
    _bad("no-fifo", f"{_APP}master-fifo = SITE/no/fifo\n", "there is no folder SITE/no"),
    _bad("no-stats", f"{_APP}stats = SITE/no/stats\n", "there is no folder SITE/no"),
    _bad("no-socket", f"{_APP}socket = SITE/no/a.sock\n", "there is no folder SITE/no"),
    _bad("log-closed", f"{_APP}logto = SITE/a.log\n{_AS_WEB}", "may not make files in SITE"),
    _bad("pid-closed", f"{_APP}pidfile = SITE/a.pid\n{_AS_WEB}", "may not make files in SITE"),
    _bad("pid2-closed", f"{_APP}uid = 33\npidfile2 = SITE/a.pid\n", "may not make files in SITE"),
    _bad("log-folder", f"{_APP}logto = SITE/run\n", "SITE/run is a folder"),
    _bad("stats-closed", f"{_APP}stats = SITE/a.stats\n{_AS_WEB}", "may not make files in SITE"),
    _bad("fifo-closed", f"{_APP}master-fifo = SITE/a.fifo\n{_AS_WEB}", "may not make files"),
    _bad("spool-closed", f"{_APP}spooler = SITE/spool\n{_AS_WEB}", "may not make files in SITE"),
    _bad("socket-closed", f"{_APP}socket = SITE/a.sock\n{_AS_WEB}", "may not make files in SITE"),
)

_SOCKETS = (
    _good("socket-port", _APP + _PLAIN, "does not wake the app"),
    _good("socket-path", f"{_APP}socket = SITE/run/path.sock\n", "does not wake the app"),
    _good("socket-relative", "chdir = SITE/run\nsocket = relative.sock\nfile = ../app.py\n"),
    _good("socket-abstract", f"{_APP}socket = @abstractPORT\n"),
    _good("http-port", f"{_APP}http-socket = :PORT\n"),
    _good("http-router", f"{_APP}http = 127.0.0.1:PORT\n"),
    _good("https-port", f"{_APP}https-socket = 127.0.0.1:PORT,SITE/cert.pem,SITE/key.pem\n"),
    _good("chown", f"{_APP}uid = 33\nsocket = SITE/chown.sock\nchown-socket = www-data\n"),
    _bad("tenants-chown", f"{_APP}socket = SITE/run/a.sock\nchown-socket = root\n",
         "www-data may not chown SITE/run/a.sock to root", owner="www-data"),
    _bad("chown-group", f"{_APP}socket = SITE/run/b.sock\nchown-socket = www-data:root\n",
         "may not chown", owner="www-data"),
    _good("chown-self", f"{_APP}socket = SITE/run/c.sock\nchown-socket = www-data:www-data\n",
          owner="www-data"),
    _bad("chown-abstract", f"{_APP}socket = @chownPORT\nchown-socket = www-data\n", "is no file"),
    _bad("chown-nobody", f"{_APP}socket = SITE/run/d.sock\nchown-socket = nosuch\n",
         "there is no user 'nosuch'"),
    _good("chown-port", f"{_APP}{_PLAIN}chown-socket = root\n", "has no effect on a socket",
          owner="www-data"),
    _good("listen", f"{_APP}listen = 64\n{_PLAIN}"),
    _good("long-listen", f"{_APP}listen = 99999\n", "the kernel makes"),
    _bad("listen-more", f"{_APP}listen = 99999\n{_PLAIN}", "more than net.core.somaxconn"),
    _bad("no-cert", f"{_APP}https-socket = 127.0.0.1:PORT,SITE/no.pem,SITE/key.pem\n", "no.pem"),
    _bad("one-cert", f"{_APP}https-socket = 127.0.0.1:PORT,SITE/cert.pem\n", "https-socket syntax"),
    _bad("low-port", f"{_APP}http-socket = :77\n{_AS_WEB}", "www-data may not bind port 77"),
    _bad("socket-long", f"{_APP}socket = /{'x' * 102}\n", "bytes, and uWSGI takes 102"),
    _good("port-a", f"{_APP}http-socket = 127.0.0.1:SAME\n"),
    _bad("port-b", f"{_APP}http-socket = :SAME\n", "of port-a.test.ini", after="port-a"),
    _bad("port-c", f"{_APP}stats = 127.0.0.1:SAME\n", "of port-a.test.ini", after="port-a"),
)  # fmt: skip

_OTHERS = (
    _good("harakiri", f"{_APP}harakiri = 30\nmax-requests = 5\n"),
    _good("touch-reload", f"{_APP}touch-reload = SITE/app.py\n", "takes the site down"),
    _good("typo", f"{_APP}vaccum = true\n", "ignores it"),
    _good("cron", f"{_APP}cron = 0 3 -1 -1 -1 true\n", "does not run while the app sleeps"),
    _good("cron2", f"{_APP}cron2 = minute=-5,unique=1 true\n"),
    _good("attach", f"{_APP}attach-daemon = sleep 100\n"),
    _good("mule", f"{_APP}mule = true\n"),
    _good("env", f"{_APP}env = A=B\nfor-readline = SITE/empty\nendfor =\n"),
    _good("include", "include = SITE/common.ini\n"),
    _good("included", "include = SITE/odd.ini\n", "digits of '5m' (SITE/odd.ini, line 3)"),
    _good("included-as", f"include = SITE/odd.ini\n{_AS_WEB}", "(SITE/odd.ini, line 3)"),
    _good("included-typo", f"include = SITE/odd.ini\n{_AS_WEB}", "(SITE/odd.ini, line 4)"),
    _bad("included-bad", "include = SITE/bad.ini\n", "does not start (SITE/bad.ini, line 2)"),
    _good("json", f"{_APP}json = SITE/no.json\n", "built without jansson"),
    _bad("json-app", "json = SITE/no.json\n", "brought none"),
    _bad("php", "plugins = php\nphp-docroot = SITE\n", "this uWSGI does not find"),
    _bad("php-alone", "plugins = php\n", "it names no app"),
    _good("plugin", f"{_APP}plugin = nosuch\n"),
    _good("exec", f"{_APP}exec-asap = true\nexec-pre-app = true\n"),
    _bad("strict", f"{_APP}strict = true\nvaccum = true\n", "unknown config directive: vaccum"),
    _bad("need-plugin", f"{_APP}need-plugin = nosuch\n", "nosuch"),
    _bad("stars", f"{_APP}cron = 0 3 * * * true\n", "write -1 for *"),
    _bad("four", f"{_APP}cron = 0 3 -1 -1 true\n", "cron takes five numbers"),
    _bad("no-command", f"{_APP}cron2 = hour=3\n", "cron2 takes"),
    _good("hours", f"{_APP}cron2 = hours=3 true\n", "cron2 ignores hours"),
    _bad("no-include", "include = SITE/no.ini\n", "no.ini"),
    _bad("worker-exec", f"{_APP}worker-exec = /bin/true\n", "replaces the worker"),
    _bad("chroot", f"{_APP}chroot = SITE/no\n", "there is no folder SITE/no"),
    _bad("expression", f"{_APP}route = ^/a( deny:\n", "missing ), unterminated subpattern"),
    _good("expressions", f"{_APP}route = ^/(?<a>b)[[:alpha:]]++$ break:404\n"),
    _bad("no-bytes", f"{_APP}post-buffering = -5\n", "is more memory than there is"),
    _bad("exec-fails", f"{_APP}exec-as-user = SITE/no-command\n", "no program SITE/no-command"),
)

_PROTOCOLS = (
    _good("protocol-port", f"{_APP}protocol = http\n{_PLAIN}"),
    _good("protocol-alone", f"{_APP}socket-protocol = fastcgi\n"),
    _good("protocol-own", f"{_APP}protocol = http\nsocket = OWN\n", "speaks uwsgi at"),
    _good("http-own", f"{_APP}http-socket = OWN\n", "speaks uwsgi at"),
    _good("scgi-own", f"{_APP}scgi-socket = OWN\n", "and not scgi, since nginx does"),
    _good("large-port", f"{_APP}http-socket = 127.0.0.1:99999\n", "binds port 34463"),
    _bad("no-protocol", f"{_APP}protocol = htp\n{_PLAIN}", "uWSGI has no protocol 'htp'"),
    _good("descriptor", f"{_APP}http-socket = fd://3\n", "a descriptor that is not there"),
    _good("descriptor-0", f"{_APP}socket = fd://0\n", "a descriptor that is not there"),
    _good("shared", f"{_APP}shared-socket = 127.0.0.1:PORT\nhttp-socket = =0\n", "does not wake"),
    _bad("no-shared", f"{_APP}http-socket = =0\n", "has no such shared-socket above it"),
    _bad("empty-socket", f"{_APP}socket =\n", "socket is empty"),
)

_ODD = (
    _good("section-comment", f"{_APP}[app:old] # not used any more\nsocket = :1\n"),
    _good("section-comments", f"{_APP}[a] ; [b]\nsocket = :1\n[c]d\nfile = no.py\n"),
    _bad("uwsgi-comment", f"{_APP}[uwsgi] # mine\nthreads = 2\n", "write [uwsgi] alone on its"),
    _bad("emperor-comment", f"{_APP}[emperor] ; mine\nuid = 33\n", "write [emperor] alone on"),
    _bad("cut-short", f"{_APP}[emper", "the section '[emper' does not end in ]"),
    _good("open-if", f"{_APP}if-env = PATH\nenv = SEEN=yes\n", "is never closed"),
    _good("open-if-exists", f"{_APP}if-exists = /\nenv = SEEN=yes\n", "is never closed"),
    _good("open-if-not", f"{_APP}if-env = NO_SUCH\nsocket = :1\n", "is never closed"),
    _good("open-for", f"{_APP}for = a b\nenv = %(_)=yes\n", "is never closed"),
    _good("open-times", f"{_APP}for-times = 2\nenv = A%(_)=yes\n", "is never closed"),
    _bad("include-itself", f"{_APP}include = include-itself.test.ini\n", "include itself"),
    _bad("regex", f"{_APP}log-filter = (\n", "pcre error"),
    _bad("nested-if", f"{_APP}if-env = PATH\nif-env = HOME\nendif =\nendif =\n", "recursive logic"),
    _good(
        "plugins-dir", f"plugins-dir = /usr/lib/uwsgi\nif-env = PATH\nenv = A=1\nendif =\n{_APP}"
    ),
    _good("latin-1-comment", f"# caf\udce9\n{_APP}"),
    _good("latin-1-value", f"{_APP}env = NAME=caf\udce9\nprocname-prefix = \udcfc\n"),
    _good("latin-1-pidfile", f"{_APP}pidfile2 = SITE/run/\udce9.pid\n"),
    _good("latin-1-block", f"{_APP}# \udce9\nif-env = PATH\nenv = A=\udce9\nendif =\n"),
    _good("carriage-returns", f"{_APP}threads = 2\r\nenable-threads = true\r\n"),
    _bad("nul", f"{_APP}# a\0b\n", "it has a NUL byte"),
    _good("magic-folder", "chdir = %d../site\nfile = app.py\n"),
    _good("magic-start", "chdir = %v/../site\nmodule = app\n"),
    _good("chdir-relative", "chdir = ../site\nwsgi-file = app.py\n"),
    _good("chdir-twice", "chdir = SITE/no\nchdir = SITE\nfile = app.py\n", "overrules"),
    _good("file-relative", "wsgi-file = ../site/bin/app.py\n"),
    _good("section-of-file", "ini = :more\n[more]\nfile = SITE/app.py\n"),
    _good("at-command", f"{_APP}env = A=@(exec://echo hi)\n"),
    _good("workers-of-command", f"{_APP}processes = @(exec://nproc)\n"),
    _good("declared", "declare-option = app=file=$1\napp = SITE/app.py\n", "emperord does not see"),
    _bad("whitelist", f"{_APP}whitelist = env\n", "also forbids options that emperord gives"),
    _good("end-whitelist", f"{_APP}whitelist = env end-whitelist\nend-whitelist = true\n"),
    _good("log-format", f"{_APP}log-format = %(addr) [%(ltime)] 100%\n"),
)


# What emperord itself tells uWSGI, in the words of the ini.
_OURS = (
    _good("idle", f"{_APP}idle = 60\n"),
    _good("idle-text", f"{_APP}idle = 26h\n", "reads only the digits"),
    _good("idle-emperor", f"{_APP}[emperor]\nidle = 0\n"),
    _good("die-on-idle", f"{_APP}die-on-idle = false\n", "die-on-idle is always on"),
    _good("shutdown", f"{_APP}shutdown-sockets = true\n", "is switched off here"),
    _good("buffer-size", f"{_APP}buffer-size = 8192\n"),
    _good("post-buffering", f"{_APP}post-buffering = 0\n"),
    _good("max-vars", f"{_APP}max-vars = 100\n"),
    _good("max-fd", f"{_APP}max-fd = 64\n"),
    _good("no-orphans", f"{_APP}no-orphans = false\n"),
    _good("need-app-off", f"{_APP}need-app = false\n"),
    _good("restart", f"{_APP}[emperor]\non-change = restart\n"),
    _good("activation", f"{_APP}[emperor]\nactivation = socket\n"),
    _good("protocol", f"{_APP}protocol = http\n{_PLAIN}", "does not wake the app"),
    _good("own-socket", f"{_APP}socket = SOCKETS/own-socket.test/socket\n"),
    _good("python", f"{_APP}[emperor]\npython-home = SITE/venv\n"),
    _good("include-chain", "ini = SITE/common.ini\nset = a=b\n"),
    _good("log-syslog", f"{_APP}log-date = true\nlog-format = %(uri)\n"),
    _good("vassal-env", f"{_APP}env = UWSGI_RELOADS=5\n", "emperord sets"),
    _bad("buffer-tiny", f"{_APP}buffer-size = 64\n", "too small"),
    _bad("vars-few", f"{_APP}max-vars = 4\n", "max-vars = 4 is too small"),
    _bad("neighbour", f"{_APP}socket = SOCKETS/idle.test/socket\n", "claims the socket of idle"),
    _bad("zalias", f"{_APP}[emperor]\naliases = idle.test\n", "which idle.test.ini has",
         after="idle"),
    _bad("tenants-alias", f"{_APP}[emperor]\naliases = x.test\n", "ini of root's",
         owner="www-data"),
    _bad("bad-idle", f"{_APP}[emperor]\nidle = soon\n", "cannot use idle = 'soon'"),
    _bad("zerg", f"{_APP}zerg = SITE/zerg\n", "with zerg this is no app"),
    _bad("emperor", f"{_APP}emperor = SITE\n", "with emperor this is no app"),
    _bad("no-python", f"{_APP}[emperor]\npython = 2.7\n", "no Python '2.7'"),
    _bad("no-home", f"{_APP}[emperor]\npython-home = SITE/nowhere\n", "SITE/nowhere"),
    _bad("section", "[other]\nx = 1\n", "nothing in it"),
    _bad("unclosed", f"{_APP}[other\n", "does not end in ]"),
)  # fmt: skip
_MORE = (
    _good("module-dotted", "chdir = SITE\nmodule = package.wsgi:application\n"),
    _good("wsgi", "chdir = SITE\nwsgi = app\n"),
    _good("callable", f"{_APP}callable = application\n"),
    _good("route", f"{_APP}static-map = /static=SITE\n"),
    _good("no-map", f"{_APP}static-map = /a=SITE/no\n", "there is no folder SITE/no, so its files"),
    _good("map-file", f"{_APP}static-map = /favicon.ico=SITE/empty\n"),
    _good("harakiri-5m", f"{_APP}harakiri = 5m\n", "write harakiri = 300, in seconds"),
    _good("master-ture", f"{_APP}master = ture\n", "counts as true"),
    _good("locks", f"{_APP}locks = 2\ncache2 = name=a,items=10\nsharedarea = 1\n"),
    _good("offload", f"{_APP}offload-threads = 1\nthunder-lock = true\n"),
    _good("single", f"{_APP}single-interpreter = true\nenable-threads = true\n"),
    _good("umask", f"{_APP}umask = 077\nprocname-prefix = a\nauto-procname = true\n"),
    _good("hooks", f"{_APP}hook-post-app = print:ready\nexec-as-user = true\n"),
    _good("timers", f"{_APP}harakiri = 20\nworker-reload-mercy = 5\nreload-on-rss = 512\n"),
    _good("gevent-like", f"{_APP}async = 4\n"),
    _good("xml", f"{_APP}log-master = true\nlog-maxsize = 100000\n"),
    _good("req-logger", f"{_APP}req-logger = file:SITE/run/requests.log\n"),
    _bad("no-module", "chdir = SITE\nmodule = nosuchmodule\n", "no module nosuchmodule in SITE"),
    _bad("no-submodule", "chdir = SITE\nwsgi = package.no:app\n", "no module package.no in SITE"),
    _bad("module-elsewhere", "chdir = SITE/no-venv\nmodule = app\n", "there is no module app"),
    _bad("syntax", "file = SITE/syntax.py\n", "SITE/syntax.py, line 1, is no valid Python"),
    _bad("no-callable", f"{_APP}callable = nosuch\n", "defines no nosuch"),
    _bad(
        "no-import",
        "file = SITE/importing.py\nhome = SITE/venv\n",
        "line 3, imports nosuchpackage, which is not",
    ),
    _bad("no-import-system", "file = SITE/importing.py\n", "line 3, imports nosuchpackage, which"),
    _bad("import-other", "file = SITE/importing2.py\nvenv = SITE/venv-other\n", "imports pack_2"),
    _good("import-venv", "file = SITE/importing2.py\nvenv = SITE/venv\n"),
    _good("callable-colon", "chdir = SITE\nmodule = package.factory:make()\n"),
    _good("callable-star", "file = SITE/star.py\npythonpath = SITE\n"),
    _bad("logger", f"{_APP}logger = nosuch:x\n", "nosuch"),
    _bad("no-cache", f"{_APP}static-cache-paths = 5\n", "needs cache2"),
    _bad("bad-cache", f"{_APP}cache2 = name=a\n", "cache2"),
    _bad("bad-hook", f"{_APP}hook-as-user = nosuch\n", "hook-as-user"),
    _bad("unknown-hook", f"{_APP}hook-as-user = nosuch:x\n", "nosuch"),
    _bad("chdir-file", "chdir = SITE/app.py\nfile = app.py\n", "no folder SITE/app.py"),
    _bad("address", f"{_APP}http-socket = 203.0.113.9:PORT\n", "203.0.113.9"),
    _bad("taken", f"{_APP}http-socket = 127.0.0.1:TAKEN\n", "listens at 127.0.0.1:"),
    _bad("taken-router", f"{_APP}http = 127.0.0.1:TAKEN\n", "listens at 127.0.0.1:"),
    _bad("taken-all", f"{_APP}stats = :TAKEN\n", "listens at :"),
)
# Values that uWSGI looks at when it sets up what they are about.
_SET_UP = (
    _bad("eval-syntax", "eval = def application(:\n", "the code of eval, line 1, is no valid"),
    _bad("eval-nothing", "eval = x = 1\n", "the code of eval defines no application"),
    _good("eval", "eval = application = lambda e, s: (s('200 OK', []), [b'x'])[1]\n"),
    _bad("web3", "web3 = nosuch\n", "there is no module nosuch"),
    _bad("module-unset", "module = $(UNSET)\n", "$(UNSET) has no value"),
    _bad("module-unset-part", "module = %(unset):application\n", "%(unset) has no value"),
    _bad("module-empty", "module = @(SITE/empty)\n", "module is empty"),
    _bad("chdir-unset", "chdir = $(UNSET)\nfile = SITE/app.py\n", "$(UNSET) has no value"),
    _bad("callable-no-call", "chdir = SITE\nmodule = app:make()\n", "app.py defines no make"),
    _bad("callable-dotted", f"{_APP}callable = app.wsgi\n", "defines no app.wsgi"),
    _bad("mount-alone", f"{_APP}mount = nosuch\n", "mount = nosuch has no ="),
    _bad("symcall", f"{_APP}symcall = nosuch\n", 'unable to find symbol "nosuch"'),
    _bad("call", f"{_APP}call-as-user = nosuch\n", 'unable to find symbol "nosuch"'),
    _bad("hook-call", f"{_APP}hook-as-user = callint:nosuch\n", "unable to find symbol"),
    _bad("pyrun", f"{_APP}pyrun = SITE/app.py\n", "in place of each worker"),
    _bad("version", f"{_APP}version = true\n", "print something and end"),
    _bad("refork", f"{_APP}refork = true\n", "makes uWSGI fork and end"),
    _bad("static-alone", "static-map = /s=SITE\n", "without an index answers no request for /"),
    _good("static-index", "static-map = /=SITE\nstatic-index = app.py\n"),
    _bad("no-metrics", f"{_APP}metrics-dir = SITE/no\n", "there is no folder SITE/no"),
    _bad("metrics-closed", f"{_APP}metrics-dir = SITE/bin\n{_AS_WEB}", "make files in SITE/bin"),
    _good("metrics", f"{_APP}enable-metrics = true\nmetrics-dir = SITE/run\n{_AS_WEB}"),
    _bad("metric", f"{_APP}metric = key=a,value=1\n", "specify a metric name"),
    _bad("cache-word", f"{_APP}cache2 = name=a,items=many\n", "number of cache items"),
    _bad("cache-plain", f"{_APP}cache2 = 10\n", "you have to specify a cache name"),
    _bad("cache-hash", f"{_APP}cache2 = name=a,items=9,hash=nosuch\n", "invalid cache hash"),
    _bad("cache-huge", f"{_APP}cache2 = name=a,items=9,blocksize=999999999999\n", "get memory"),
    _bad("cache-store", f"{_APP}cache2 = name=a,items=9,store=SITE/no/a\n", "no folder SITE/no"),
    _good("cache-stored", f"{_APP}cache2 = name=a,items=9,store=SITE/run/cache\n"),
    _bad("farm", f"{_APP}mule = true\nfarm = nosuch\n", "invalid farm value (nosuch)"),
    _bad("farm-mule", f"{_APP}mule = true\nfarm = a:5\n", "invalid mule id: 5"),
    _good("farm-good", f"{_APP}mule = true\nfarm = a:1\n"),
    _bad("timer", f"{_APP}timer = nosuch\n", "is no SIGNAL SECONDS"),
    _bad("alarm", f"{_APP}alarm = nosuch\n", "invalid alarm syntax: nosuch"),
    _bad("alarm-kind", f"{_APP}alarm = a nosuch:b\n", "invalid alarm: a nosuch:b"),
    _bad("encoder", f"{_APP}log-encoder = nosuch\n", 'log encoder "nosuch" not found'),
    _good("encoder-good", f"{_APP}log-encoder = prefix a\n"),
    _bad("stats-push", f"{_APP}stats-push = nosuch:a\n", 'find "nosuch" stats_pusher'),
    _bad("check-cache", f"{_APP}check-cache = nosuch\n", 'unable to find cache "nosuch"'),
    _bad("limit-as", f"{_APP}limit-as = 1\n", "cannot get memory"),
    _good("limit-as-good", f"{_APP}limit-as = 512\n"),
    _bad("start-timeout", f"{_APP}[emperor]\nstart-timeout = 1ms\n", "is over before any app"),
    _bad("gevent-loop", f"{_APP}loop = gevent\n", "loop = gevent alone handles one request"),
    _bad("declared-zero", f"declare-option = a=processes=$1\n{_APP}a = 0\n", "counts as 0"),
    _bad("raw", f"{_APP}raw-socket = OWN\n", "so nginx gets no answer there"),
    _good("http-front", f"{_APP}http-socket = OWN\n[emperor]\nactivation = socket\n",
          "in http, and not through nginx", speaks_http=True),
    _bad("long-socket", f"{_APP}socket = SITE/run/{'x' * 99}\n", "bytes, and uWSGI takes 102"),
    _bad("long-stats", f"{_APP}stats = SITE/run/{'x' * 99}\n", "bytes, and uWSGI takes 102"),
    _bad("sticky-fifo", f"{_APP}master-fifo = SITE/sticky/fifo\n{_AS_WEB}", "may not replace"),
)  # fmt: skip

# What uWSGI runs or enters before the app.
_EARLY = (
    _bad("exec-mode", f"{_APP}exec-asap = SITE/app.py\n", "root may not run SITE/app.py"),
    _bad("exec-missing", f"{_APP}exec-pre-jail = nosuchprogram\n", "no program nosuchprogram"),
    _bad("exec-relative", f"{_APP}exec-as-user = ./nosuch\n", "there is no program"),
    _bad("exec-and", f"{_APP}exec-pre-app = true && nosuch > /dev/null\n", "no program nosuch"),
    _bad("exec-false", f"{_APP}exec-as-root = exit 3\n", "always fails"),
    _good("exec-or", f"{_APP}exec-as-user = nosuch || true\n", "check does not run it"),
    _bad("hook-exec", f"{_APP}hook-pre-jail = exec:SITE/no\n", "there is no program SITE/no"),
    _good("hook-safe", f"{_APP}hook-pre-jail = safeexec:nosuch\n"),
    _bad("hook-chdir", f"{_APP}hook-as-user = chdir:SITE/no\n", "there is no folder SITE/no"),
    _bad("hook-write", f"{_APP}hook-as-root = write:SITE/no/a b\n", "no folder SITE/no"),
    _bad("hook-exit", f"{_APP}hook-asap = exit:\n", "hook-asap = exit: ends uWSGI"),
    _bad("file-write", f"{_APP}file-write = SITE/no/a=b\n", "there is no folder SITE/no"),
    _bad("home-env", f"{_APP}env = PYTHONHOME=SITE/no\n", "there is no library of Python"),
    _good("home-env-good", f"{_APP}env = PYTHONHOME=/usr\n"),
    _bad("cgroup", f"{_APP}cgroup = SITE/no/a\n", "there is no folder SITE/no"),
    _bad("pivot", f"{_APP}pivot-root = SITE\n", "takes two folders"),
    _bad("pivot-no", f"{_APP}pivot-root = SITE no\n", "there is no folder SITE/no"),
    _bad("empty-chroot", "file = /app.py\nchroot = SITE\n", "there is no Python"),
    _bad("unshare", f"{_APP}unshare = nosuch\n", "nosuch"),
)
CASES = (
    _OURS
    + _SET_UP
    + _EARLY
    + _MORE
    + _WORKERS
    + _USERS
    + _APPS
    + _PYTHONS
    + _FILES
    + _SOCKETS
    + _PROTOCOLS
    + _ODD
    + _OTHERS
)
