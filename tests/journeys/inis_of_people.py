"""More inis, by what people have in them. See inis.py for the words in capitals."""

from tests.journeys.ini_case import APP, AS_ROOT, AS_WEB, Case, bad, good

_UID = "uid = games\ngid = games\n"


def _dropping(option: str) -> str:
    """uWSGI starts as root, which an ini of root's may have where the settings allow it."""
    return f"{APP}{_UID}{option}\n{AS_ROOT}"


# More than this machine, or uWSGI, can hold.
_SIZES = (
    bad("workers-huge", f"{APP}processes = 100000\n", "more than the"),
    bad("threads-huge", f"{APP}threads = 100000\n", "is more than 32768, for which uWSGI"),
    good("threads-many", f"{APP}threads = 300\n"),
    bad("workers-nothing", f"{APP}processes = @(exec://nosuch)\n", "no program nosuch, so proc"),
    bad("workers-echo", f"{APP}processes = @(exec://echo 0)\n", "processes = 0 is too few"),
    bad("gevent-nothing", f"{APP}gevent = @(exec://nosuch)\n", "no program nosuch, so gevent"),
    good("async-echo", f"{APP}async = @(exec://echo 0)\n"),
    good("buffer-negative", f"{APP}buffer-size = -1\n"),
    good("buffer-large", f"{APP}buffer-size = 10000000\n"),
    good("buffer-larger", f"{APP}buffer-size = 4294967296\n"),
    bad("buffer-none", f"{APP}buffer-size = 0\n", "buffer-size = 0 is too small"),
    bad("vars-negative", f"{APP}max-vars = -1\n", "max-vars = -1 is too small"),
    bad("listen-negative", f"{APP}listen = -1\n", "listen = -1 is out of range"),
)
_ADDRESSES = (
    bad("address-6", f"{APP}socket = [2001:db8::1]:PORT\n", "has no address [2001:db8::1]"),
    bad("address-6-http", f"{APP}http-socket = [2001:db8::1]:PORT\n", "no address [2001:db8::1]"),
    bad("address-6-stats", f"{APP}stats = [2001:db8::1]:PORT\n", "has no address [2001:db8::1]"),
    bad("address-6-router", f"{APP}http = [2001:db8::1]:PORT\n", "has no address [2001:db8::1]"),
    good("address-6-own", f"{APP}socket = [::1]:PORT\n"),
    good("address-6-all", f"{APP}socket = [::]:PORT\n"),
    good("address-name", f"{APP}http-socket = localhost:PORT\n"),
    bad("awaited", f"{APP}wait-for-socket = 127.0.0.1:PORT\n", "nothing listens at 127.0.0.1:"),
    good("awaited-there", f"{APP}wait-for-socket = 127.0.0.1:TAKEN\n"),
    bad("awaited-hook", f"{APP}hook-as-user = wait_for_socket:127.0.0.1:PORT\n", "nothing listens"),
    good("awaited-hook-there", f"{APP}hook-as-user = wait_for_socket:127.0.0.1:TAKEN\n"),
    bad("awaited-hook-path", f"{APP}hook-asap = wait_for_socket:SITE/no\n", "there is no SITE/no"),
    bad("pool-address", f"{APP}zergpool = SITE/var/pool:192.0.2.7:PORT\n", "no address 192.0.2.7"),
    bad("pool-taken", f"{APP}zerg-pool = SITE/var/pool:127.0.0.1:TAKEN\n", "listens at 127.0.0.1"),
    bad("pool-folder", f"{APP}zergpool = SITE/no/pool:127.0.0.1:PORT\n", "there is no folder SITE"),
    bad("pool-path", f"{APP}zergpool = SITE/var/pool2\n", "names no address, so the app does not"),
    good("pool", f"{APP}zergpool = SITE/var/pool1:127.0.0.1:PORT\n"),
)
# What uWSGI does before the app, and much of it only as root.
_STARTS = (
    bad("paste", "paste = config:SITE/no.ini\n", "needs the module paste.deploy, which is not"),
    bad("pecan", "pecan = SITE/no.py\n", "needs the module pecan, which is not"),
    bad("mkdir", f"{APP}hook-as-user = mkdir:SITE/run/new\n", "fails the second time"),
    bad("mkdir-root", f"{APP}hook-as-root = mkdir:SITE/run/new1\n", "fails the second time"),
    bad("mkdir-there", f"{APP}hook-as-user = mkdir:SITE/run\n", "is there already"),
    bad("mkdir-no", f"{APP}hook-asap = mkdir:SITE/no/a\n", "there is no folder SITE/no"),
    bad(
        "mkdir-closed",
        _dropping("hook-as-user = mkdir:SITE/new"),
        "may not make files in",
    ),
    good("mkdir-user", _dropping("hook-as-user = mkdir:SITE/run/new2")),
    good("mkdir-asap", f"{APP}hook-asap = mkdir:SITE/run/new3\n"),
    good("tenants-mkdir", f"{APP}hook-as-user = mkdir:SITE/new\n{AS_WEB}", "skips hook-as-user"),
    bad("unlink", _dropping("hook-as-user = unlink:SITE/empty"), "may not make files in SITE"),
    bad("fifo-no", f"{APP}hook-asap = writefifo:SITE/no a\n", "there is no SITE/no"),
    bad("chmod-no", f"{APP}hook-asap = chmod:SITE/no 644\n", "there is no SITE/no"),
    bad("chmod-mode", f"{APP}hook-asap = chmod:SITE/empty x\n", "has no mode as 644"),
    bad("chmod-other", f"{APP}hook-asap = chmod:SITE/empty 644\n{AS_WEB}", "does not own"),
    bad("hook-chown", f"{APP}hook-asap = chown:SITE/empty root\n", "is no chown:FILE USER GROUP"),
    bad(
        "chown-user", f"{APP}hook-asap = chown:SITE/empty nosuch games\n", "there is no user 'nosu"
    ),
    bad(
        "hook-chown-group",
        f"{APP}hook-as-user = chown:SITE/empty games nosuch\n",
        "there is no group",
    ),
    bad(
        "hook-chown-number",
        f"{APP}hook-asap = chown:SITE/empty 5 60\n",
        "a user with the name 5, so",
    ),
    good("hook-chown-good", f"{APP}hook-asap = chown:SITE/var games games\n"),
    good("hook-chown-around", f"{APP}hook-pre-app = chown:SITE/empty nosuch games\n"),
    bad("sticky-no", f"{APP}hook-asap = sticky:SITE/no\n", "there is no SITE/no"),
    bad("umount-no", f"{APP}hook-asap = umount:SITE/no\n", "there is no SITE/no"),
    bad("rpc-early", f"{APP}hook-asap = rpc:nosuch\n", "comes before uWSGI knows any function"),
    good("tenants-exec", f"{APP}exec-as-user = SITE/no\n", "skips exec-as-user", owner="games"),
    good("tenants-call", f"{APP}call-as-user = nosuch\n", "skips call-as-user", owner="games"),
    good("tenants-hook", f"{APP}hook-as-root = no:x\n", "skips hook-as-root", owner="games"),
    good("tenants-wait", f"{APP}wait-for-file = SITE/no\n", "skips wait-for", owner="games"),
    bad("tenants-asap", f"{APP}exec-asap = SITE/no\n", "no program SITE/no", owner="games"),
    bad("wait-mount", f"{APP}wait-for-mountpoint = SITE/no\n", "there is no SITE/no"),
)

_AGAIN = "again and again in vain"
# What runs beside the workers. The app is served all the same.
_BACKGROUND = (
    good("mule-no", f"{APP}mule = SITE/no.py\n", "SITE/no.py, so uWSGI starts the mule again"),
    good("mule-chdir", f"chdir = SITE\n{APP}mule = no.py\n", "starts the mule again and again"),
    good("mule-closed", f"{APP}mule = SITE/secret.py\n{AS_WEB}", "may not read SITE/secret.py"),
    good("attach-no", f"{APP}attach-daemon = nosuch --x\n", f"nosuch, so uWSGI starts it {_AGAIN}"),
    good("attach-mode", f"{APP}attach-daemon = SITE/empty\n", "root may not run SITE/empty"),
    good("attach-exec", f"{APP}attach-daemon = exec nosuch\n", "there is no program nosuch"),
    good("attach2-no", f"{APP}attach-daemon2 = cmd=nosuch,freq=2\n", "there is no program nosuch"),
    good("attach2-chdir", f"{APP}attach-daemon2 = cmd=true,chdir=SITE/no\n", "no folder SITE/no"),
    good("smart-no", f"{APP}smart-attach-daemon = SITE/run/d nosuch\n", "no program nosuch"),
    good("smart-pid", f"{APP}smart-attach-daemon = SITE/no/d sleep 99\n", "never sees that it"),
    good("cron-no", f"{APP}cron = 0 3 -1 -1 -1 nosuch -x\n", "nosuch, so the job fails each time"),
    good("cron-cd", f"{APP}cron = 0 3 -1 -1 -1 cd SITE && ./no\n", "SITE/./no, so the job fails"),
    good("cron2-no", f"{APP}cron2 = hour=3 SITE/no\n", "SITE/no, so the job fails each time"),
    good("touch-exec", f"{APP}touch-exec = SITE/empty SITE/no\n", "SITE/no, so the job fails"),
)
# The first line of a script names the program that runs it.
_INTERPRETERS = (
    good("script", f"{APP}exec-asap = SITE/good\n"),
    good("script-plain", f"{APP}exec-asap = SITE/plain\n"),
    good("script-split", f"{APP}exec-asap = SITE/env-split\n"),
    bad("script-no", f"{APP}exec-asap = SITE/no-interpreter\n", "program /nosuch/bash, which line"),
    bad("script-env", f"{APP}exec-as-user = SITE/env-no\n", "program nosuch, which line 1 of SITE"),
    bad("script-words", f"{APP}exec-asap = SITE/env-words\n", "name 'sh -e', which line 1 of SITE"),
    bad("script-windows", f"{APP}exec-asap = SITE/windows\n", "ends with a carriage return, which"),
    bad("script-option", f"{APP}hook-asap = exec:SITE/windows-option\n", "with a carriage return"),
    bad(
        "python-file",
        f"{APP}exec-asap = python3 -u SITE/no.py --all\n",
        "there is no SITE/no.py, so",
    ),
    bad(
        "shell-file", f"{APP}exec-asap = /bin/sh -e SITE/secret.py\n{AS_WEB}", "not read SITE/secre"
    ),
    good("python-there", f"{APP}exec-asap = python3 SITE/jobs-done.py\n"),
    good("python-module", f"{APP}exec-asap = python3 -m this\n"),
    good(
        "cron-python", f"chdir = SITE\n{APP}cron = 0 3 -1 -1 -1 python3 no.py\n", "SITE/no.py, so"
    ),
    good("daemon-script", f"{APP}attach-daemon = SITE/no-interpreter\n", "line 1 of SITE/no-inter"),
    good("cron2-script", f"{APP}cron2 = hour=3 SITE/windows\n", "line 1 of SITE/windows ends with"),
    bad("number-script", f"{APP}processes = @(exec://SITE/env-no)\n", "line 1 of SITE/env-no"),
)
_SPOOLER = f"{APP}spooler = SITE/var\n"
# What uWSGI imports beside the app.
_IMPORTS = (
    good("mule-function", f"pythonpath = SITE\n{APP}mule = jobs:run\n"),
    good("mule-module", f"{APP}mule = nosuch:run\n", ":3: warning: there is no module nosuch in"),
    good(
        "mule-callable", f"pythonpath = SITE\n{APP}mule = jobs:no\n", "SITE/jobs.py defines no no"
    ),
    good("mule-word", f"{APP}mule = jobs\n", "mule = jobs names no .py file and no MODULE:FUNCT"),
    good("mule-syntax", f"{APP}mule = SITE/syntax.py\n", "SITE/syntax.py, line 1, is no valid"),
    good(
        "mule-import", f"{APP}mule = SITE/importing.py\n", "nosuchpackage, which is not installed"
    ),
    good(
        "mule-hook", f"{APP}mule = true\nhook-as-mule = exec:nosuch\n", "the mules again and again"
    ),
    good("spooler-module", f"{_SPOOLER}spooler-import = nosuch\n", "the spooler starts without it"),
    good(
        "spooler-file", f"{_SPOOLER}spooler-import = SITE/no.py\n", ":4: warning: there is no SITE/"
    ),
    good(
        "spooler-closed",
        f"{APP}spooler = SITE/run\nspooler-py-import = SITE/secret.py\n{AS_WEB}",
        "may not re",
    ),
    good("spooler-none", f"{APP}spooler-import = SITE/jobs.py\n", "no spooler for spooler-import"),
    good("import-module", f"{APP}import = nosuch\n", "nosuch in "),
    good("import-file", f"{APP}py-import = SITE/no.py\n", "no.py, so uWSGI goes on without it"),
    good("import-shared", f"{APP}shared-import = SITE/syntax.py\n", "line 1, is no valid Python"),
    good("import-package", f"{APP}import = SITE/package\n", "SITE/package/__init__.py, so"),
    good(
        "python-raw",
        f"{APP}python-raw = SITE/no.py\n",
        "no SITE/no.py, so uWSGI goes on without it",
    ),
    bad(
        "alias-module", f"{APP}pymodule-alias = a=nosuch\n", ":3: error: there is no module nosuch"
    ),
    bad(
        "alias-file", f"{APP}pymodule-alias = a=SITE/no.py\n", "there is no SITE/no.py, so the app"
    ),
    bad(
        "alias-later", f"{APP}post-pymodule-alias = a=SITE/importing.py\n", "which is not installed"
    ),
    good("alias-word", f"{APP}pymodule-alias = a\n", "pymodule-alias = a has no =, so uWSGI"),
    good("alias-good", f"pythonpath = SITE\n{APP}pymodule-alias = a=jobs\nmule = a:run\n"),
    bad("app-behind", "pythonpath = SITE\nimport = jobs\nmodule = nosuch\n", "no module nosuch in"),
    good("paths-of-app", "pythonpath = SITE\nmodule = paths\nmule = true\n"),
    good("paths-of-import", f"pythonpath = SITE\nimport = setpaths\n{APP}shared-import = jobs\n"),
)
# Other files that an ini names.
_FILES = (
    bad("flock2", f"{APP}flock2 = SITE/no\n", "there is no SITE/no, so the app does not start"),
    good("flock2-there", f"{APP}flock2 = SITE/empty\n"),
    bad("flock-closed", f"{APP}flock2 = SITE/one\n{AS_WEB}", "games may not write to SITE/one"),
    bad("in-cache", f"{APP}cache2 = name=a,items=9\nload-file-in-cache = SITE/no\n", "no SITE/no,"),
    bad("patch", f"{APP}privileged-binary-patch = SITE/no\n", "there is no program SITE/no, so"),
    bad("patch-there", f"{APP}privileged-binary-patch-arg = sleep 99\n", "in place of uWSGI"),
    bad("read-no", f"{APP}a = @(SITE/sticky/no)\n", ":3: error: there is no SITE/sticky/no, which"),
    bad(
        "mountpoint", f"{APP}check-mountpoint = SITE/no\n", "uWSGI ends as soon as it looks for it"
    ),
    good("mountpoint-there", f"{APP}check-mountpoint = SITE\n"),
    good(
        "plugin-no", f"{APP}plugin = SITE/no_plugin.so\n", ":3: warning: there is no SITE/no_plug"
    ),
    bad("plugin-needed-path", f"{APP}need-plugin = SITE/no\n", "there is no SITE/no_plugin.so, so"),
    good("plugin-name", f"{APP}plugins = SITE/no\n", "no SITE/no_plugin.so, so uWSGI goes on with"),
    good("library-no", f"{APP}dlopen = SITE/no.so\n", "no SITE/no.so, so uWSGI goes on without it"),
    good("error-page", f"{APP}error-page-404 = SITE/no\n", "SITE/no, so uWSGI sends its own page"),
    good("mime-file", f"{APP}mimefile = SITE/no\n", "so uWSGI sends files without a type"),
    good(
        "spooler-chdir", f"{_SPOOLER}spooler-chdir = SITE/no\n", "no folder SITE/no, so its tasks"
    ),
    good("alarm-no", f"{APP}alarm = a cmd:nosuch\n", "no program nosuch, so the alarm reaches"),
    good("at-exit", f"{APP}exec-as-user-atexit = nosuch\n", "no program nosuch, so the job fails"),
    bad("sent-no", "route = ^/ static:SITE/no\n", ":2: error: there is no SITE/no, so route sends"),
    bad("test", "test = nosuch\n", "test makes uWSGI print something and end"),
    bad("env-behaviour", f"{APP}wsgi-env-behaviour = nosuch\n", "is none of holy, cheat"),
    bad(
        "pusher", f"{APP}stats-push = file:path=SITE/no\n", "this uWSGI has no stats pusher 'file'"
    ),
)
# What uWSGI and PCRE know, and what they do not.
_KINDS = (
    bad("alarm-xmpp", f"{APP}alarm = a xmpp:me@a.example;secret;you@a.example\n", "kind 'xmpp'"),
    bad("alarm-curl", f"{APP}plugins = alarm_curl\nalarm = a curl:http://a.example\n", "'curl'"),
    good("alarm-log", f"{APP}alarm = a log:\n"),
    bad("route-star", f"{APP}route = *\\.jpg log:a\n", "nothing to repeat"),
    bad("route-plus", f"{APP}static-expires = ^+ 30\n", "no regular expression: nothing to repeat"),
    bad("route-twice", f"{APP}route = a** log:a\n", "no regular expression: multiple repeat"),
    bad(
        "route-names", f"{APP}route-host = (?P<a>b)(?P<a>c) log:a\n", ":3: error: cannot use a reg"
    ),
    bad("route-escape", f"{APP}route = \\x{{zz}} log:a\n", "cannot use a regular expression"),
    good("route-branches", f"{APP}route = (?|(a)|(b)) log:a\n"),
    good("route-possessive", f"{APP}route = a*+\\d++ log:a\n"),
    good("route-braces", f"{APP}route = a{{,3}} log:a\n"),
    good("hook-once", f"{APP}hook-accepting-once = exit:\n", "ends the first worker, and uWSGI st"),
)
# One finding for each cause, with its line and cure.
_TOLD_ONCE = (
    bad("negative", f"{APP}harakiri = -1\n", ":3: error: uWSGI refuses it (exit"),
    bad("plugin-needed", f"{APP}need-plugin = nosuch\n", ":3: error: uWSGI finds no plugin"),
    bad("ini-no", f"{APP}ini = SITE/no.ini\n", ":3: error:", owner="games"),
    bad("include-rel", f"{APP}include = no.ini\n", ":3: error:", owner="games"),
    bad("file-comment", "chdir = SITE\nfile = app.py ; it\n", "start; put comments on lines of th"),
    good("env-key", f"env FOO = bar\n{APP}", "ignores it; write env = FOO=bar"),
    good("env-colon", f"env: FOO=bar\n{APP}", "ignores it; write env = FOO=bar"),
    good("env-export", f"export FOO=bar\n{APP}", "ignores it; write env = FOO=bar"),
    good("env-variable", f"DJANGO_DEBUG = 1\n{APP}", "write env = DJANGO_DEBUG=1, if it is a"),
    good("env-name", f"env = FOO\n{APP}", "sets no variable; write env = FOO=VALUE"),
    good("env-blank", f"env = FOO = bar\n{APP}", "named 'FOO '; write env = FOO=bar"),
    good("env-quotes", f'env = FOO="bar"\n{APP}', "the quotes are part of the value of FOO"),
)
# Apps as they are set up in tutorials and in the documentation of frameworks.
_SITES = (
    good(
        "web2py",
        "chdir = SITE\nmodule = app:application\nmaster = true\nprocesses = 2\n"
        "harakiri = 60\nreload-mercy = 8\nmax-requests = 2000\nlimit-as = 512\nreload-on-as = 256\n"
        "reload-on-rss = 192\nno-orphans = true\n",
    ),
    good(
        "django",
        "project = package\nbase = SITE\nchdir = %(base)\nmaster = true\n"
        "module = %(project).wsgi:application\nenv = DJANGO_SETTINGS_MODULE=package.settings\n"
        "pidfile = SITE/var/%n.pid\nvacuum = true\ndie-on-term = true\n",
    ),
    good(
        "flask", "chdir = SITE\nwsgi-file = app.py\ncallable = application\nthreads = 2\nmaster\n"
    ),
    good("trac", "env = TRAC_ENV=SITE\nmodule = app\npythonpath = SITE\nplugins = python\n"),
    good("paths", "pythonpath = SITE/no\npp = SITE/run\npythonpath = SITE\nmodule = app\n"),
    bad("paths-colon", "pythonpath = SITE/no:SITE\nmodule = app\n", "there is no module app in"),
    bad("php-site", "plugins = php\nphp-docroot = SITE\nphp-index = index.php\n", "plugin php"),
    bad(
        "cgi", "plugins = cgi\ncgi = /cgi-bin=SITE\n", "plugin cgi, which this uWSGI does not find"
    ),
    bad("psgi", "plugins = psgi\npsgi = SITE/app.psgi\n", "plugin psgi, which this uWSGI"),
    bad("rack", "rack = SITE/config.ru\n", "write plugins = rack above it"),
    good("index", "check-static = SITE\nstatic-index = app.py\n"),
    bad(
        "no-index", "check-static = SITE\nstatic-index = no.html\n", "there is no SITE/no.html, and"
    ),
    bad("no-root", "static-map = /s=SITE\nstatic-index = app.py\n", "no static-map is for /, and"),
    good(
        "mounts", "mount = /a=SITE/app.py\nmount = /=SITE/bin/app.py\nmanage-script-name = true\n"
    ),
    good("mount-sub", "mount = /sub=SITE/app.py\nmanage-script-name = true\n"),
    bad("mount-word", "mount = /=app\npythonpath = SITE\n", "names no file and no MODULE:CALLABLE"),
    bad("mount-host", "mount = mount-host.test=SITE/app.py\n", "looks at with vhost only"),
    good("vhost", f"{APP}vhost = true\n"),
    bad("vhost-host", f"{APP}vhost-host = true\nno-default-app = true\n", "answers no host"),
    bad("vhost-alone", f"{APP}vhost = true\nno-default-app = true\n", "answers no host"),
    good("before-app", f"{APP}hook-pre-app = exec:SITE/no a\n", "hook-pre-app fails each time"),
    # Debian's packages of uWSGI have it for the system's Python, from Debian 13 on.
    bad(
        "decorators",
        "home = SITE/venv\neval = import uwsgidecorators; application = 1\n",
        "imports uwsgidecorators",
    ),
    good("spooler-app", f"{APP}spooler = SITE/var\nspooler-processes = 2\nspooler-frequency = 9\n"),
    good("routes", f"{APP}route-if = equal:a;b break:404\nroute = ^/x addheader:X-A: b\n"),
    bad("goto", f"{APP}route-label = a\nroute-run = goto:a\n", "no route-label = a below"),
    good("goto-below", f"{APP}route-run = goto:a\nroute-label = a\n"),
    good(
        "redirects",
        "[uwsgi]\nroute = ^/(.*) redirect-permanent:https://new.example/$1\n",
        status=301,
    ),
    good("redirects-host", "[uwsgi]\nroute-host = . redirect:https://new.example/\n", status=302),
    good("redirects-all", "[uwsgi]\nroute-run = redirect:https://new.example/\n", status=302),
    good("gone-all", "[uwsgi]\nroute-run = break:410 Gone\n", status=410),
    good(
        "of-an-error",
        "[uwsgi]\nerror-route-status = 500 redirect:https://new.example/\n",
        status=302,
    ),
    good("static-route", "[uwsgi]\nroute = ^/ static:/etc/hostname\n"),
    bad("sends", "[uwsgi]\nroute-run = send:hello\n", "route-run = send:hello answers no"),
    bad("adds-header", "[uwsgi]\nroute-run = addheader:X-A: b\n", "answers no request"),
    bad("rewrites", "[uwsgi]\nroute = ^/ rewrite:/b\n", "answers no request"),
    bad("final", "[uwsgi]\nfinal-route = .* redirect:https://a.example/\n", "names no app"),
    bad("no-router", f"{APP}route-run = nosuch:x\n", ":3: error: uWSGI refuses it"),
    bad("no-condition", f"{APP}route-if = nosuch:x break:404\n", ":3: error: uWSGI refuses it"),
    bad("logger-build", f"{APP}logger = nosuchlogger:a\n", "this uWSGI has no logger 'nosuchlog"),
    good("loggers", f"{APP}logger = file:SITE/var/l.log\nreq-logger = file:SITE/var/r.log\n"),
    bad("locks-of", f"{APP}lock-engine = nosuch\n", 'find lock engine "nosuch"'),
    bad("ping", f"{APP}ping = 127.0.0.1:1\n", "ping makes uWSGI print something and end"),
    bad("signal", f"{APP}signal = SITE/no,1\n", "send a signal to another process and end"),
    bad("pause", f"{APP}pause = SITE/no\n", "send a signal to another process and end"),
    bad("extract", f"{APP}extract = SITE/empty\n", "extract makes uWSGI print something and end"),
    good("snmp", f"{APP}snmp = 127.0.0.1:PORT\n"),
    good("py-autoreload", f"{APP}py-autoreload = 2\n", "takes the site down"),
)
# How an ini is written.
_WRITTEN = (
    good("for-glob", "for-glob = SITE/app.py\nwsgi-file = %(_)\nendfor =\n"),
    good("if-exists", "if-exists = SITE/app.py\nfile = %(_)\nendif =\n"),
    bad("if-missing", "if-exists = SITE/no.py\nfile = %(_)\nendif =\n", "it names no app"),
    good("if-opt", "a = 1\nif-opt = a=1\nfile = SITE/app.py\nendif =\n"),
    good("at-file", f"{APP}processes = @(SITE/one)\n"),
    good("set-ph", "set-ph = x=SITE/app.py\nfile = %(x)\n"),
    good("set-ph-strict", "strict = true\nset-ph = x=SITE/app.py\nfile = %(x)\n"),
    bad("strict-ph", "strict = true\nx = SITE/app.py\nfile = %(x)\n", "; drop it, or write set-pl"),
    bad("no-section", "ini = SITE/common.ini:nosuch\n", "brought none; name the app here, or in"),
    good("inherit", "inherit = SITE/common.ini\n"),
    good("two-sections", f"{APP}[uwsgi]\nthreads = 2\n"),
    good("tabs", "\tfile\t=\tSITE/app.py\t\n"),
    good("flags", f"{APP}master\nvacuum\nlazy-apps\n"),
    good("joined", "file = SITE/%\napp.py\n"),
    good("long-value", f"{APP}env = A={'x' * 6000}\n"),
    bad("blank-key", "wsgi file = SITE/app.py\n", "it names no app"),
    bad("upper", "FILE = SITE/app.py\n", "write file = SITE/app.py"),
    bad("underscore", "wsgi_file = SITE/app.py\n", "write wsgi-file = SITE/app.py"),
    bad("quotes", 'file = "SITE/app.py"\n', 'drop the ", which uWSGI takes for a part'),
    bad("quotes-module", "chdir = SITE\nmodule = 'app'\n", "drop the ', which uWSGI takes"),
    bad("tilde", "chdir = ~/app\nfile = app.py\n", "uWSGI does not know ~"),
)

OF_PEOPLE: tuple[Case, ...] = (
    *_KINDS,
    *_SIZES,
    *_ADDRESSES,
    *_STARTS,
    *_BACKGROUND,
    *_INTERPRETERS,
    *_IMPORTS,
    *_FILES,
    *_TOLD_ONCE,
    *_SITES,
    *_WRITTEN,
)
