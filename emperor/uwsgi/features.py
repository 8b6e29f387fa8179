"""Says what a uWSGI lacks that does not know an option: a library at its build, or a plugin.

The tables are of uWSGI 2.0.31: the options that its source has under `#ifdef`, and those of its
plugins. A uWSGI of a distribution has most plugins as files of their own.
"""

import re
from collections.abc import Collection, Iterator
from typing import TypeVar

# Options of the core that need a library at the build of uWSGI, and Debian's package of it.
_PCRE = ("PCRE", "libpcre2-dev")
_SSL = ("OpenSSL", "libssl-dev")
_BUILDS = (
    (_PCRE, r"(?:(?:error|response|final)-)?route(?:-.+)?|routers?-list|log-(?:req-)?route"),
    (_PCRE, r"log-(?:drain|filter|alarm)|(?:not-)?alarm-log|not-log-alarm|pcre-jit|sni-regexp"),
    (_PCRE, r"static-expires(?:-(?:uri|path-info))?(?:-mtime)?|static-gzip"),
    (_PCRE, r"if-(?:not-)?hostname-match"),
    (_SSL, r"(?:suwsgi|ssl|https)-socket(?:-modifier[12])?|ssl-.+|sni|sni-dir(?:-ciphers)?"),
    (_SSL, r"https2?|https-.+|legion(?:-.+)?|(?:unique-)?(?:legion-cron|cron-legion)"),
    (_SSL, r"subscriptions-sign-.+|sslrouter2?|sslrouter-.+"),
    (("libxml2", "libxml2-dev"), r"xml|xmlconfig"),
    (("jansson", "libjansson-dev"), r"json|js"),
    (("libcap", "libcap-dev"), r"cap|(?:emperor|vassals?)-cap"),
    (("zlib", "zlib1g-dev"), r"load-file-in-cache-gzip"),
)
# The options of each plugin. `python3` is Debian's name; others call it `python`.
_PLUGINS = (
    ("asyncio", r"asyncio"),
    ("carbon", r"carbon(?:-.+)?"),
    ("cgi", r"cgi|cgi-(?!mode$).+"),
    ("cheaper_busyness", r"cheaper-busyness-.+"),
    ("coroae", r"coroae"),
    ("curl_cron", r"curl-cron|cron-curl|(?:legion-)?(?:curl-cron|cron-curl)(?:-legion)?"),
    ("fastrouter", r"fastrouter(?:-.+)?"),
    ("fiber", r"fiber"),
    ("forkptyrouter", r"forkpty-?u?router(?:-.+)?"),
    ("gccgo", r"go-(?:load|args)|gccgo-.+|goroutines"),
    ("geoip", r"geoip-.+"),
    ("gevent", r"gevent(?:-.+)?"),
    ("glusterfs", r"glusterfs-.+"),
    ("greenlet", r"greenlet"),
    ("gridfs", r"gridfs-.+"),
    ("http", r"https?2?|httprouter|https?-(?!socket).+"),
    ("jvm", r"jvm-.+"),
    ("jwsgi", r"jwsgi"),
    ("ldap", r"ldap(?:-.+)?"),
    ("logzmq", r"log-zeromq"),
    ("lua", r"lua(?:-.+)?|luashell"),
    ("mongrel2", r"(?:zeromq|zmq)(?:-socket)?"),
    ("mono", r"mono-.+"),
    ("nagios", r"nagios"),
    ("notfound", r"notfound-log"),
    ("pam", r"pam(?:-user)?"),
    ("php", r"php-.+"),
    ("ping", r"ping(?:-timeout)?"),
    ("psgi", r"psgi(?:-.+)?|perl-.+|plshell(?:-oneshot)?"),
    ("pty", r"pty-.+"),
    ("pypy", r"pypy-.+"),
    ("python3", r"wsgi-.+|file|eval|module|wsgi|callable|home|virtualenv|venv|pyhome|pp|pump|web3"),
    ("python3", r"py-.+|python-.+|pythonpath|pyargv|pyimport|pyrun|pymodule-alias|pecan|paste.*"),
    ("python3", r"(?:shared|spooler)-(?:py|python)-?import|ini-paste.*|optimize|no-site"),
    ("rack", r"rails|rack|ruby-.+|rb-(?!threads?$).+|rbshell(?:-oneshot)?|(?:rb|ruby)?require"),
    ("rack", r"shared-(?:(?:rb|ruby)-?)?require|gemset|rvm(?:-path)?"),
    ("rados", r"rados-.+"),
    ("rawrouter", r"rawrouter(?:-.+)?"),
    ("rbthreads", r"(?:rb-?threads?)"),
    ("ring", r"ring-.+|clojure-load"),
    ("rrdtool", r"rrdtool(?:-.+)?"),
    ("rsyslog", r"rsyslog-.+"),
    ("sqlite3", r"sqlite3?"),
    ("sslrouter", r"sslrouter2?|sslrouter-.+"),
    ("stackless", r"stackless"),
    ("symcall", r"symcall(?:-.+)?"),
    ("tornado", r"tornado"),
    ("tuntap", r"tuntap-.+"),
    ("ugreen", r"ugreen(?:-stacksize)?"),
    ("v8", r"v8-.+"),
    ("webdav", r"webdav-.+"),
    ("xslt", r"xslt-.+"),
    ("zabbix", r"zabbix-template"),
    ("zergpool", r"zergpool|zerg-pool"),
)
_REBUILD = "then build uWSGI anew: pip install --force-reinstall --no-cache-dir uwsgi"


def missing_feature(
    key: str, known: Collection[str], loaded: Collection[str] = ()
) -> tuple[str, str] | None:
    """Why a uWSGI with the options `known` has no option `key`, and the cure. The ini has uWSGI
    load the plugins `loaded`. None for an option
    that no uWSGI has, or that is misspelt."""
    for (library, package), pattern in _lacking(_BUILDS, known):
        if re.fullmatch(pattern, key):
            text = f"this uWSGI was built without {library} and ignores {key}"
            return text, f"install {package}, {_REBUILD}"
    for plugin, pattern in _lacking(_PLUGINS, known):
        if re.fullmatch(pattern, key):
            if plugin in loaded:
                text = f"{key} is of uWSGI's plugin {plugin}, which this uWSGI does not find"
                return f"{text}, and is ignored", "install that plugin, or set plugins-dir above it"
            text = f"{key} is of uWSGI's plugin {plugin}, which is not loaded, and is ignored"
            return text, f"write plugins = {plugin} above it and install that plugin, or drop {key}"
    return None


_Feature = TypeVar("_Feature")


def _lacking(
    table: tuple[tuple[_Feature, str], ...], known: Collection[str]
) -> Iterator[tuple[_Feature, str]]:
    """The rows of the features of which this uWSGI knows no option."""
    there = {
        feature for feature, pattern in table if any(re.fullmatch(pattern, key) for key in known)
    }
    return ((feature, pattern) for feature, pattern in table if feature not in there)
