"""An ini is read as uWSGI reads it: compared with the real uWSGI where that is possible."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emperor.model.definition import LONGEST_DEFINITION, BrokenIni
from emperor.uwsgi.ini import Ini, Option, parse
from tests.uwsgi.oracle import resolved

NAME = "www.a.example.ini"
TALK = b"""[uwsgi]
socket = /var/sockets/www.obeythetestinggoat.com/socket
file = /path/to/obeythetestinggoat.com/source/application.py
idle = 93600
"""


def read(text: str, folder: str = "/etc/uwsgi/vassals") -> Ini:
    return parse(text.encode(), NAME, folder)


def pairs(ini: Ini) -> list[tuple[str, str]]:
    return [(option.key, option.value) for option in ini.options]


def test_the_ini_of_the_talk_is_read_without_uwsgi() -> None:
    ini = parse(TALK, NAME, "/etc/uwsgi/vassals")
    assert ini.needs_uwsgi is None
    assert ini.options == (
        Option("socket", "/var/sockets/www.obeythetestinggoat.com/socket", 2),
        Option("file", "/path/to/obeythetestinggoat.com/source/application.py", 3),
        Option("idle", "93600", 4),
    )


NASTY = {
    "no final newline": "[uwsgi]\nidle = 1",
    "CRLF": "[uwsgi]\r\nidle = 1\r\nmaster\r\n",
    "tabs and blanks": " \t[uwsgi] \n\t x-a \t=\t b c \t\n",
    "inline comments belong to the value": "[uwsgi]\nidle = 60 ; one minute\nx = a # b\n",
    "comments at the start of a line": "[uwsgi]\n; x = 1\n # y = 2\n\t;[other]\nx-z = 3\n",
    "a key without =": "[uwsgi]\nmaster\nx-a =\n= x\n",
    "several =": "[uwsgi]\nx = a=b = c\n==\n",
    "other sections": "x=0\n[other]\nx=1\n[uwsgi]\nx=2\n[]\nx=3\n[uwsgi]\nx=4\n[UWSGI]\nx=5",
    "a comment behind another section": "[uwsgi]\nx=1\n[app:old] # gone\nx=2\n[a]; [b]\nx=3\n[c]d",
    "an option in a section that looks alike": "[uwsgi]\nx=1\n[uwsgi2]\nx=2\n[uwsgi:a] # b\nx=3",
    "a section is not stripped within": "[ uwsgi]\nx=1\n[uwsgi ]\nx=2\n[uwsgi]\nx=3\n[[uwsgi]]",
    "other blanks are no blanks": "[uwsgi]\n\x0bx\x0c = \x0b1\x0c\nx = \xa02\xa0\n\x85y = \u2028\n",
    "short names are no options": "[uwsgi]\ns = /tmp/none\nl = 9\np = 0\n",
    "magic of the name": "[uwsgi]\nx = %n|%s|%e|%N|%S|%E|%o|%O|%x|%X\n",
    "magic of the folder": "[uwsgi]\nx = %d|%p|%c|%v|%D|%P|%C|%0|%1|%2|%3|%8|%9\n",
    "other magic": "[uwsgi]\nx = 100%%|%z|% |%;|%\u00e4|%[1m|%%n|%%%n\n",
    "magic in keys and sections": "[%%]\nx = 1\n[uws%zgi]\nx-%n = 2\n%; x = 3\n",
    "a % at the end joins two lines": "[uwsgi]\n; 100%\nx = 1\nx-y = 5%\n0\n\n x-z = %\n",
    "placeholders stay": "[uwsgi]\nx = $(NO_SUCH)|%(no-such)|$(|%(|$()\n",
    "quotes are letters": "[uwsgi]\nx = \"a b\" 'c' \\n \\\\\n",
    "a colon is no =": "[uwsgi]\nx: 1\n",
    "bytes that are not UTF-8": "[uwsgi]\n# caf\udce9\nx = \udcff|%n|\udcc3\nx-\udce9 = \udcfc",
}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY.keys())
def test_a_nasty_ini_is_read_as_uwsgi_reads_it(text: str, tmp_path: Path) -> None:
    data = text.encode(errors="surrogateescape")
    (tmp_path / NAME).write_bytes(data)
    ini = parse(data, NAME, str(tmp_path))
    assert pairs(ini) == resolved(tmp_path, NAME)
    assert ini.needs_uwsgi is None


# No "%" stands alone, since uWSGI reads beyond its buffer for one at the end of the file; no "("
# without a "%", since `@(` would read files; no magic that only the running uWSGI knows.
_WORDS = st.sampled_from([
    *(f"%{letter}" for letter in "ndpcesoNDPCESOvxX0123456789%(z;#= [\t\r\n\u00e4"),
    *"xyz \t\r;#=[]{}\"'\\$@,:/-_\x0b\x1f\x7f\u00e4\u2028",
])  # fmt: skip
_TEXTS = st.lists(_WORDS, max_size=12).map("".join)
_LINES = st.one_of(
    st.sampled_from(["[uwsgi]", "[uwsgi]", "[emperor]", "[other]", "[]", " [uwsgi]\t\r"]),
    st.tuples(_TEXTS, _TEXTS).map("x{0[0]} = {0[1]}".format),
    _TEXTS.map("x-{0}".format),
    _TEXTS.map("; {0}".format),
    _TEXTS.map(" \t- {0}".format),
    _TEXTS.map("[{0}".format),
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(_LINES, max_size=12))
def test_any_ini_is_read_as_uwsgi_reads_it(tmp_path: Path, lines: list[str]) -> None:
    text = "\n".join(["[uwsgi]", "x-first = 1", *lines, "[uwsgi]", "x-last = 1"])
    (tmp_path / NAME).write_bytes(text.encode())
    try:
        ini = read(text, str(tmp_path))
    except BrokenIni as broken:
        assert "does not end in ]" in str(broken) or "for the section" in str(broken)
        return
    assert pairs(ini) == resolved(tmp_path, NAME)


def test_a_line_keeps_its_number_whatever_stands_before_it() -> None:
    ini = read("\n; 100%\n joined\n\r\n[uwsgi]\n\n# x\nx-y = 5%\n0\nidle = 1\n")
    assert ini.options == (Option("x-y", "50", 8), Option("idle", "1", 10))


def test_the_section_emperor_is_read_the_same_way() -> None:
    ini = read("[emperor]\nuid = %n\n[uwsgi]\nmaster\n[emperor]\nuid = www\n")
    assert ini.emperor == (Option("uid", "www.a.example", 2), Option("uid", "www", 6))
    assert ini.attribute("uid") == Option("uid", "www", 6)
    assert ini.attribute("gid") is None


@pytest.mark.parametrize(
    ("options", "needs_uwsgi"),
    [
        ("socket = /s/$(HOST)/socket", Option("socket", "/s/$(HOST)/socket", 2)),
        ("http-socket = @(name)", Option("http-socket", "@(name)", 2)),
        ("master\nidle = %(minutes)0", Option("idle", "%(minutes)0", 3)),
        ("listen = %k", Option("listen", "%k", 2)),
        ("socket = /s/%h/socket", Option("socket", "/s/%h/socket", 2)),
        ("include = base.ini", Option("include", "base.ini", 2)),
        ("ini = :other", Option("ini", ":other", 2)),
        ("inherit = base.ini", Option("inherit", "base.ini", 2)),
        ("yaml = base.yml", Option("yaml", "base.yml", 2)),
        ("if-env = X\nidle = 1\nendif =", Option("if-env", "X", 2)),
        ("ifexists = /x\nidle = 1\nendif =", Option("ifexists", "/x", 2)),
        ("for = a b\nx = %(_)\nendfor =", Option("for", "a b", 2)),
        ("set = idle=1", Option("set", "idle=1", 2)),
        ("processes = $(WORKERS)", Option("processes", "$(WORKERS)", 2)),
        ("workers = %(%k * 2)", Option("workers", "%(%k * 2)", 2)),
        ("gevent = @(greenlets)", Option("gevent", "@(greenlets)", 2)),
        ("protocol = $(PROTOCOL)", Option("protocol", "$(PROTOCOL)", 2)),
        ("shared-socket = %(base)/s", Option("shared-socket", "%(base)/s", 2)),
        ("socket = a.sock\nchdir = %(base)", Option("chdir", "%(base)", 3)),
        ("chroot = $(JAIL)\nsocket = a.sock", Option("chroot", "$(JAIL)", 2)),
    ],
)
def test_an_option_that_the_daemon_needs_is_left_to_uwsgi(
    options: str, needs_uwsgi: Option
) -> None:
    assert read(f"[uwsgi]\n{options}\n").needs_uwsgi == needs_uwsgi


@pytest.mark.parametrize(
    "option",
    [
        "chdir = %(base)/app",
        "chdir = %(base)/app\nsocket = /srv/a.sock\nhttp-socket = :8080\nscgi-socket = @a",
        "env = HOME=$(HOME)",
        "pythonpath = @(path.txt)",
        "processes = %k",
        "processes = @(exec://nproc)",
        "procname-prefix = %h",
        "force-cwd = /",
        "forkbomb-delay = 1",
        "socket-timeout = %(base)",
        "set-placeholder = base=/srv",
    ],
)
def test_other_options_need_no_uwsgi(option: str) -> None:
    assert read(f"[uwsgi]\n{option}\n").needs_uwsgi is None


@pytest.mark.parametrize(
    ("value", "quotes"),
    [("%(socket).stats", True), ("a:%(http-socket )", True), ("%(socket-timeout)", False)],
)
def test_it_is_noticed_when_a_value_quotes_a_socket(value: str, quotes: bool) -> None:
    assert read(f"[uwsgi]\nstats = {value}\n").quotes_socket is quotes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\n", "there is no section [uwsgi], or nothing in it"),
        (b"socket = /x\n", "there is no section [uwsgi], or nothing in it"),
        (b"[uwsgi]\n; master\n", "there is no section [uwsgi], or nothing in it"),
        (b"[Uwsgi]\nmaster\n", "there is no section [uwsgi], or nothing in it"),
        (b"\xef\xbb\xbf[uwsgi]\nmaster\n", "without a byte order mark"),
        (b"[uwsgi]\nmaster\n[emper", "line 3: the section '[emper' does not end in ]"),
        (b"[uwsgi] ; mine\nmaster\n", "line 1: uWSGI takes '[uwsgi] ; mine' for the section"),
        (
            b"[uwsgi\nmaster\n",
            "line 1: uWSGI takes '[uwsgi' for the section 'uwsg'; write [uwsgi] al",
        ),
        (b"[uwsgi]\nmaster\n[emperor] #[x]\nuid = a", "line 3: uWSGI takes '[emperor] #[x]' for"),
        (b"[uwsgi]\nmaster\n[ emperor ]\nuid = a", "line 3: uWSGI takes '[ emperor ]' for the sec"),
        (
            "[uwsgi]\nmaster\n".encode("utf-16"),
            "line 1: it is UTF-16 text, which uWSGI cannot read",
        ),
        (b"[uwsgi]\nmaster\n\x7fELF\0\0", "line 3: it has a NUL byte"),
        (b"[uwsgi]\n\n# caf\xe9\n", "there is no section [uwsgi], or nothing in it"),
        (b"[uwsgi]\n" + b"#" * LONGEST_DEFINITION, "it has more than 64 KiB"),
    ],
)
def test_a_broken_ini_is_refused_with_line_cause_and_cure(data: bytes, message: str) -> None:
    with pytest.raises(BrokenIni) as broken:
        parse(data, NAME, "/etc/uwsgi/vassals")
    assert message in str(broken.value)
    assert broken.value.cure
