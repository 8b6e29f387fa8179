"""More inis, by what people have in them. See inis.py for the words in capitals."""

from tests.journeys.ini_case import APP, AS_WEB, Case, bad, good

_UID = "uid = www-data\ngid = www-data\n"

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
)
# What uWSGI does before the app, and much of it only as root.
_STARTS = (
    bad("paste", "paste = config:SITE/no.ini\n", "needs the module paste.deploy, which is not"),
    bad("pecan", "pecan = SITE/no.py\n", "needs the module pecan, which is not"),
    bad("mkdir", f"{APP}hook-as-user = mkdir:SITE/run/new\n", "fails the second time"),
    bad("mkdir-root", f"{APP}hook-as-root = mkdir:SITE/run/new1\n", "fails the second time"),
    bad("mkdir-there", f"{APP}hook-as-user = mkdir:SITE/run\n", "is there already"),
    bad("mkdir-no", f"{APP}hook-asap = mkdir:SITE/no/a\n", "there is no folder SITE/no"),
    bad("mkdir-closed", f"{APP}{_UID}hook-as-user = mkdir:SITE/new\n", "may not make files in"),
    good("mkdir-user", f"{APP}{_UID}hook-as-user = mkdir:SITE/run/new2\n"),
    good("mkdir-asap", f"{APP}hook-asap = mkdir:SITE/run/new3\n"),
    good("tenants-mkdir", f"{APP}hook-as-user = mkdir:SITE/new\n{AS_WEB}", "skips hook-as-user"),
    bad("unlink", f"{APP}{_UID}hook-as-user = unlink:SITE/empty\n", "may not make files in SITE"),
    bad("fifo-no", f"{APP}hook-asap = writefifo:SITE/no a\n", "there is no SITE/no"),
    bad("chmod-no", f"{APP}hook-asap = chmod:SITE/no 644\n", "there is no SITE/no"),
    bad("chmod-mode", f"{APP}hook-asap = chmod:SITE/empty x\n", "has no mode as 644"),
    bad("chmod-other", f"{APP}hook-asap = chmod:SITE/empty 644\n{AS_WEB}", "does not own"),
    bad("hook-chown", f"{APP}hook-asap = chown:SITE/empty root\n", "is no chown:FILE USER GROUP"),
    bad("sticky-no", f"{APP}hook-asap = sticky:SITE/no\n", "there is no SITE/no"),
    bad("umount-no", f"{APP}hook-asap = umount:SITE/no\n", "there is no SITE/no"),
    bad("rpc-early", f"{APP}hook-asap = rpc:nosuch\n", "comes before uWSGI knows any function"),
    good("tenants-exec", f"{APP}exec-as-user = SITE/no\n", "skips exec-as-user", owner="www-data"),
    good("tenants-call", f"{APP}call-as-user = nosuch\n", "skips call-as-user", owner="www-data"),
    good("tenants-hook", f"{APP}hook-as-root = no:x\n", "skips hook-as-root", owner="www-data"),
    good("tenants-wait", f"{APP}wait-for-file = SITE/no\n", "skips wait-for", owner="www-data"),
    bad("tenants-asap", f"{APP}exec-asap = SITE/no\n", "no program SITE/no", owner="www-data"),
    bad("wait-mount", f"{APP}wait-for-mountpoint = SITE/no\n", "there is no SITE/no"),
)

OF_PEOPLE: tuple[Case, ...] = (*_SIZES, *_ADDRESSES, *_STARTS)
