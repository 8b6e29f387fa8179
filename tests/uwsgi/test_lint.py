"""The findings of `emperorctl check`, and what gets none."""

import pytest

from emperor.model.definition import FileOwner
from emperor.uwsgi.findings import Finding, Severity
from emperor.uwsgi.lint import lint
from emperor.uwsgi.unknown import unknown_options
from tests.uwsgi.house import ALICE, OWN, ROOT, SETTINGS, ini_of, spec

SOMAXCONN = 4096
CLEAN = "file = /srv/a.py\nuid = alice"


def findings_of(text: str, owner: FileOwner = ROOT) -> list[Finding]:
    return lint(ini_of(text), spec(text, owner), SETTINGS, SOMAXCONN)


def only_finding(text: str) -> Finding:
    (finding,) = findings_of(f"{CLEAN}\n{text}")
    return finding


@pytest.mark.parametrize(
    "text",
    [
        f"socket = {OWN}", "vacuum = true", "processes = 4",
        "cheaper = 1", "idle = 60", "die-on-idle = true", "master = true", "pidfile = /srv/pid",
        "buffer-size = 65535", "buffer-size = 100000",
        "harakiri = 30", "static-map = /s=/srv/s", "env = A=B;c#d", "listen = 4096",
        "shutdown-sockets = false", "cheap = false", "env = HOME=/srv", "stats = /srv/stats",
        "[emperor]\nidle = 60\non-change = restart",
    ],
)  # fmt: skip
def test_options_that_work_here_get_no_finding(text: str) -> None:
    assert findings_of(f"{CLEAN}\n{text}") == []


@pytest.mark.parametrize(
    ("text", "severity", "text_part"),
    [
        ("socket = :8080", "warning", "a request at :8080 does not wake the app; emp"),
        ("socket = fd://3", "note", "fd://3 refers to a descriptor that is not there"),
        ("http-socket = fd://0", "note", "fd://0 refers to a descriptor that is not there; emp"),
        (f"http-socket = {OWN}", "note", f"the app speaks uwsgi at {OWN} and not http"),
        (f"https-socket = {OWN},c,k", "note", f"the app speaks uwsgi at {OWN} and not tls"),
        (f"raw-socket = {OWN}", "error", "raw-socket speaks no uwsgi at"),
        ("pyrun = a.py", "error", "pyrun runs a.py in place of each worker"),
        ("pyshell = true", "error", "pyshell runs a shell in place of the first worker"),
        ("version = true", "error", "version makes uWSGI print something and end"),
        ("extract = /etc/hostname", "error", "extract makes uWSGI print something and end"),
        ("signal = /s,1", "error", "signal makes uWSGI send a signal to another process and end"),
        ("refork = true", "error", "refork makes uWSGI fork and end"),
        ("max-fd = 10", "error", "max-fd = 10 leaves uWSGI no descriptor"),
        ("static-map = /s=/srv\n[emperor]\nstart-timeout = 1ms", "error", "is over before any"),
        ("http-socket = a.sock", "warning", "a request at a.sock does not wake the app; emp"),
        ("http = :80", "warning", "http answers at :80 while the app is awake"),
        ("daemonize = /srv/log", "warning", "its output goes to /srv/log"),
        ("logto = /srv/log", "warning", "`emperorctl logs www.a.example` lacks it"),
        ("master = false", "note", "runs it with a master all the same"),
        ("cheap = true", "note", "runs it with cheap=false"),
        ("cheap", "note", "runs it with cheap=false"),
        ("worker-exec = /srv/a", "error", "worker-exec replaces the worker"),
        ("zerg = /srv/zerg", "error", "with zerg this is no app that"),
        ("emperor = /srv", "error", "with emperor this is no app that"),
        ("shutdown-sockets = true", "note", "shutdown-sockets is switched off"),
        ("die-on-idle = false", "note", "die-on-idle is always on"),
        ("chmod-socket = 666", "note", "chmod-socket has no effect"),
        ("chown-socket = a:b", "note", "chown-socket has no effect"),
        ("cron = 0 0 0 0 0 true", "warning", "what cron starts does not run while the app sleeps"),
        ("mule = a.py", "warning", "after 26h without a request"),
        ("touch-reload = /srv/a", "note", "a version that cannot start takes the site down"),
        ("env = UWSGI_EMPEROR_FD=3", "warning", "emperord sets UWSGI_EMPEROR_FD=3 for uWSGI"),
        ("declare-option = a=b", "note", "emperord does not see the options that a=b stands for"),
        ("idle = 26h", "warning", "uWSGI reads only the digits of '26h', as seconds"),
        ("buffer-size = 8192", "note", "above 8192 bytes gets 431"),
        ("listen = 5000", "note", "the kernel makes 4096 of a backlog of 5000"),
        ("chdir = /srv ; mine", "warning", "'; mine' is no comment but part of chdir"),
        ("chdir = /srv\t# mine", "warning", "'# mine' is no comment but part of chdir"),
        ("[emperor]\nbacklog = 9000", "note", "the kernel makes 4096 of a backlog of 9000"),
        ("[emperor]\nidel = 5", "warning", "[emperor] has no key 'idel' here"),
    ],
)  # fmt: skip
def test_an_option_that_does_not_work_gets_line_and_cure(
    text: str, severity: str, text_part: str
) -> None:
    finding = only_finding(text)
    assert (finding.severity, finding.cure != "") == (Severity(severity), True)
    assert text_part in finding.text
    assert finding.line == (0 if "backlog" in text else 4 + text.count("\n"))


def test_a_protocol_is_told_of_where_it_has_no_effect() -> None:
    finding = only_finding(f"protocol = http\nsocket = {OWN}")
    assert (finding.severity, finding.line) == (Severity.NOTE, 5)
    assert "and not http" in finding.text
    finding = only_finding(f"protocol = http\nsocket = {OWN}\n[emperor]\nactivation = socket")
    assert (finding.severity, finding.line) == (Severity.WARNING, 5)
    assert findings_of(f"{CLEAN}\nprotocol = http") == []


def test_a_shared_socket_is_told_of_by_its_address() -> None:
    finding = only_finding("shared-socket = :80\nhttp-socket = =0")
    assert (finding.severity, finding.line) == (Severity.WARNING, 5)
    assert finding.text.startswith("a request at :80 does not wake the app")


@pytest.mark.parametrize("text", ["cron = 0 0 0 0 0 true", "attach-daemon = redis", "timer = 1 1"])
def test_helpers_of_an_app_that_never_sleeps_get_no_finding(text: str) -> None:
    assert findings_of(f"{CLEAN}\n{text}\nidle = 0") == []


@pytest.mark.parametrize("option", ["pidfile = /srv/pid", "shared-socket = :80"])
def test_what_does_not_work_with_gevent_gets_a_finding(option: str) -> None:
    text = f"{CLEAN}\nsocket = {OWN}\ngevent = 10"
    assert findings_of(text) == []
    (finding,) = findings_of(f"{text}\n{option}")
    assert "for gevent, asyncio and the like" in finding.text


def test_a_backlog_that_uwsgi_refuses_is_an_error() -> None:
    findings = findings_of(f"{CLEAN}\nsocket = :8080\nlisten = 5000")
    assert [(finding.line, finding.severity) for finding in findings] == [
        (4, Severity.WARNING),
        (5, Severity.ERROR),
    ]
    assert "uWSGI refuses to listen with more than net.core.somaxconn" in findings[1].text


def test_an_option_that_overrules_another_gets_a_finding() -> None:
    finding = only_finding("idle = 5\nchdir = /a\nidle = 6\nenv = A=1\nenv = B=2\nchdir = /a")
    assert finding.text == "idle = 6 overrules line 4, '5'"
    assert only_finding("[emperor]\nidle = 5\nidle = 6").text == "idle = 6 overrules line 5, '5'"


@pytest.mark.parametrize("options", ["set = x=1", "static-mop = /=/srv", "pythonpath = /srv"])
def test_an_ini_without_an_app_is_an_error(options: str) -> None:
    (finding,) = findings_of(f"uid = alice\n{options}")
    assert (finding.line, finding.severity) == (0, Severity.ERROR)
    assert finding.text.startswith("it names no app")


@pytest.mark.parametrize(
    "options",
    ["static-map = /=/srv\nstatic-index = a.html", "route-run = redirect:/x", "mount = /=a"],
)
def test_an_ini_that_answers_without_an_app_gets_no_finding(options: str) -> None:
    assert findings_of(f"uid = alice\n{options}") == []


def test_an_app_that_a_declared_option_names_is_enough() -> None:
    options = "declare-option = app=chdir=/srv;file=$1\napp = a.py\nuid = alice"
    (finding,) = findings_of(options)
    assert finding.severity is Severity.NOTE


def test_an_app_that_runs_as_root_gets_a_warning() -> None:
    (finding,) = findings_of("module = a")
    assert (finding.line, finding.severity) == (0, Severity.WARNING)
    assert finding.text == "it names no user, so the app runs as root"
    assert findings_of("module = a\n[emperor]\nuid = alice") == []
    assert findings_of("module = a", ALICE) == []
    assert len(findings_of("module = a\n[emperor]\nuid = root")) == 1


@pytest.mark.parametrize(
    ("block", "is_open"),
    [
        ("if-env = A\nchdir = /\nendif =", False),
        ("if-env = A\nchdir = /", True),
        ("for = a b\nchdir = %(_)\nendfor =\nifexists = /a\nthreads = 2", True),
        ("for-glob = *\nchdir = %(_)\nend =", False),
    ],
)
def test_a_block_that_is_never_closed_gets_a_finding(block: str, is_open: bool) -> None:
    texts = [finding.text for finding in findings_of(f"{CLEAN}\n{block}")]
    assert ["is never closed" in text for text in texts] == [True] * is_open


def test_findings_are_in_the_order_of_the_lines() -> None:
    lines = [
        finding.line for finding in findings_of("logto = /a\nmaster = 0\nsocket = :1\nidle = x")
    ]
    assert lines == [0, 0, 2, 3, 4, 5]


KNOWN = frozenset({"socket", "wsgi-file", "idle", "declare-option", "chdir"})


def unknown(text: str) -> list[tuple[int, str]]:
    return [(finding.line, finding.cure) for finding in unknown_options(ini_of(text), KNOWN)]


def test_an_unknown_option_gets_the_most_similar_one_as_cure() -> None:
    assert unknown("idle = 1\nwsgi_file = a.py\nzzzz = 1") == [
        (3, "write wsgi-file"),
        (4, "drop it, or load the plugin that knows it"),
    ]


def test_of_thousands_of_unknown_options_a_hundred_are_compared() -> None:
    cures = [cure for _, cure in unknown("wsgi_file = a.py\n" * 3_000)]
    assert cures.count("write wsgi-file") == 100
    assert len(cures) == 3_000


def test_another_word_is_no_misspelt_option() -> None:
    (finding,) = unknown_options(ini_of("base = /srv"), {"pause", "file"})
    assert finding.cure == "drop it, or load the plugin that knows it"


@pytest.mark.parametrize(
    ("line", "cure"),
    [
        ("chdir /srv", "write chdir = /srv"),
        ("chdir: /srv", "write chdir = /srv"),
        ("chdir\t/srv =", "write chdir = /srv"),
        ("wsgi_file app.py", "write wsgi-file = app.py"),
        ("start-timeout = 10", "write start-timeout into a section [emperor]"),
        ("frobnicate zzz", "write key = value, or make it a comment"),
    ],
)
def test_a_line_without_an_equals_sign_gets_one_in_the_cure(line: str, cure: str) -> None:
    assert unknown(line) == [(2, cure)]


@pytest.mark.parametrize("key", ["route", "route-run", "error-route-status", "final-route"])
def test_routing_gets_a_finding_where_uwsgi_lacks_it(key: str) -> None:
    (finding,) = unknown_options(ini_of(f"{key} = ^/a deny:"), KNOWN | {"sslrouter", "router"})
    assert finding.text == f"this uWSGI was built without PCRE and ignores {key}"
    assert "libpcre2-dev" in finding.cure
    routing = KNOWN | {"route", "route-run", "error-route-status", "final-route"}
    assert unknown_options(ini_of(f"{key} = ^/a deny:"), routing) == []
    (finding,) = unknown_options(ini_of("route-rum = deny:"), routing)
    assert finding.cure == "write route-run"


def test_placeholders_and_declared_options_are_known() -> None:
    assert unknown("base = /srv\nchdir = %(base)/a\ndeclare-option = my=chdir=$1\nmy = /") == []


def test_a_timeout_that_a_tenant_cannot_have_gets_a_finding() -> None:
    text = f"{CLEAN}\n[emperor]\nstop-timeout = 61"
    assert findings_of(text) == []
    (finding,) = findings_of(text, ALICE)
    assert (finding.line, finding.severity) == (5, Severity.WARNING)
    assert finding.text == "stop-timeout = 61 counts as 1m in a tenant's ini"
