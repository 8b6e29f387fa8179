"""Finds values that uWSGI reads otherwise than they look: `5m` as 5, and `ture` as true.

uWSGI takes the leading digits of a number, and every word but a few as true (uwsgi_opt_set_int and
uwsgi_opt_true of core/uwsgi.c). The tables are options of uWSGI 2.0.31's core and of its plugins
python, gevent and http.
"""

import re
from collections.abc import Iterator

from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.ini import ONE_PER_CORE, PLACEHOLDERS, Ini, Option, is_off, leading_number

NUMBERS = frozenset({
    "alarm-freq", "async", "backtrace-depth", "body-read-warning", "buffer-size", "cache",
    "cache-blocksize", "cache-expire-freq", "cache-store-sync", "cheaper", "cheaper-initial",
    "cheaper-overload", "cheaper-rss-limit-hard", "cheaper-rss-limit-soft", "cheaper-step",
    "check-interval", "chunked-input-limit", "chunked-input-timeout", "cron-harakiri",
    "evil-reload-on-as", "evil-reload-on-rss", "gevent", "harakiri", "harakiri-graceful-timeout",
    "harakiri-queue-threshold", "heartbeat", "http-buffer-size", "http-connect-timeout",
    "http-harakiri", "http-headers-timeout", "http-keepalive", "http-processes", "http-timeout",
    "http-workers", "limit-as", "limit-nproc", "limit-post", "listen", "locks", "log-maxsize",
    "log-slow", "max-apps", "max-fd", "max-requests", "max-requests-delta", "max-vars",
    "max-worker-lifetime", "max-worker-lifetime-delta", "mem-collector-freq", "min-worker-lifetime",
    "mule-harakiri", "mule-reload-mercy", "offload-threads", "post-buffering",
    "post-buffering-bufsize", "prio", "processes", "py-auto-reload", "py-autoreload",
    "python-auto-reload", "python-autoreload", "queue", "queue-blocksize", "reload-mercy",
    "reload-on-as", "reload-on-rss", "response-headers-limit", "rpc-max", "so-send-timeout",
    "so-write-timeout", "socket-rcvbuf", "socket-send-timeout", "socket-sndbuf", "socket-timeout",
    "socket-write-timeout", "spooler-freq", "spooler-frequency", "spooler-harakiri",
    "spooler-max-tasks", "spooler-processes", "static-cache-paths", "subscribe-freq",
    "tcp-fast-open", "tcp-fastopen", "thread-stacksize", "threads", "threads-stacksize",
    "vassal-sos", "wait-for-fs-timeout", "wait-for-socket-timeout", "websocket-max-size",
    "websocket-ping-freq", "websocket-pong-tolerance", "websockets-max-size", "worker-reload-mercy",
    "workers", "write-errors-tolerance",
})  # fmt: skip
SWITCHES = frozenset({
    "abstract-socket", "auto-procname", "autoload", "catch-exceptions", "cheap", "close-on-exec",
    "close-on-exec2", "die-on-idle", "die-on-term", "disable-logging", "disable-sendfile",
    "disable-write-exception", "drop-after-apps", "drop-after-init", "enable-metrics",
    "enable-proxy-protocol", "enable-threads", "exit-on-reload", "freebind",
    "gevent-early-monkey-patch", "gevent-monkey-patch", "harakiri-verbose", "honour-range",
    "honour-stdin", "http-auto-chunked", "http-auto-gzip", "http-chunked-input", "http-raw-body",
    "http-websockets", "ignore-script-name", "ignore-sigpipe", "ignore-write-errors", "lazy",
    "lazy-apps", "log-4xx", "log-5xx", "log-ioerror", "log-master", "log-micros", "log-reopen",
    "log-sendfile", "log-truncate", "log-x-forwarded-for", "log-zero", "logfile-chown",
    "manage-script-name", "master", "master-as-root", "memory-report", "need-app", "never-swap",
    "no-default-app", "no-defer-accept", "no-orphans", "no-site", "no-threads-wait",
    "propagate-touch", "py-call-osafterfork", "py-call-uwsgi-fork-hooks", "reaper",
    "reload-on-exception", "reuse-port", "shutdown-sockets", "single-interpreter", "skip-atexit",
    "skip-atexit-teardown", "skip-zero", "so-keepalive", "spooler-ordered", "spooler-quiet",
    "static-gzip-all", "stats-http", "stats-minified", "stats-no-cores", "stats-no-metrics",
    "strict", "tcp-nodelay", "threaded-logger", "thunder-lock", "vacuum", "vhost", "vhost-host",
    "write-errors-exception-only", "wsgi-accept-buffer", "wsgi-disable-file-wrapper",
})  # fmt: skip
_SECONDS = re.compile(r"(?P<count>\d{1,9})\s*(?P<unit>s|sec|m|min|h|d)", re.IGNORECASE)
_BYTES = re.compile(r"(?P<count>\d{1,9})\s*(?P<unit>k|kb|kib|m|mb|mib|g|gb|gib)", re.IGNORECASE)
_OF_SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_OF_BYTES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_MEGABYTES = frozenset({
    "evil-reload-on-as", "evil-reload-on-rss", "limit-as", "reload-on-as", "reload-on-rss",
})  # fmt: skip
_SIZES = re.compile(r".*(?:size|buf|bufsize|limit|limit-post|post-buffering)")
_TIMES = re.compile(r".*(?:harakiri|timeout|mercy|lifetime|freq|frequency|reload|interval|slow)")
_TRUE = frozenset({"true", "on", "yes", "1", ""})


def misread_values(ini: Ini) -> Iterator[Finding]:
    """A warning for each number with more than digits, and each switch with an unknown word."""
    for option in ini.options:
        value = option.value
        if any(placeholder in value for placeholder in PLACEHOLDERS):
            continue
        if option.key in NUMBERS and not _is_number(value):
            text = f"{option.key} = {value} counts as {leading_number(value)}: uWSGI reads only the"
            yield Finding(
                option.line, Severity.WARNING, f"{text} digits of {value!r}", _cure(option)
            )
        elif option.key in SWITCHES and not (is_off(value) or value.lower() in _TRUE):
            text = f"{option.key} = {value} counts as true, as every word but false, off, no and 0"
            cure = f"write {option.key} = true, or {option.key} = false"
            yield Finding(option.line, Severity.WARNING, text, cure)


def _is_number(value: str) -> bool:
    return (
        value == ""
        or value.startswith(ONE_PER_CORE)
        or re.fullmatch(r"[+-]?\d+", value) is not None
    )


def _cure(option: Option) -> str:
    """The number that was meant, where the unit tells it."""
    key, value = option.key, option.value
    if _TIMES.fullmatch(key) and (match := _SECONDS.fullmatch(value)):
        seconds = int(match["count"]) * _OF_SECONDS[match["unit"].lower()]
        return f"write {key} = {seconds}, in seconds"
    match = _BYTES.fullmatch(value)
    if match and key in _MEGABYTES:
        size = int(match["count"]) * _OF_BYTES[match["unit"][0].lower()]
        return f"write {key} = {max(1, size >> 20)}, in megabytes"
    if match and _SIZES.fullmatch(key):
        size = int(match["count"]) * _OF_BYTES[match["unit"][0].lower()]
        return f"write {key} = {size}, in bytes"
    return "write a whole number"
