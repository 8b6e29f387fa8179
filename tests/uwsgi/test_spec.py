"""What an ini asks of the daemon, and the errors with line, cause and cure."""

import pytest

from emperor.model.definition import BrokenIni, FileOwner
from emperor.model.spec import Once, OnChange, Spec
from emperor.uwsgi.ini import Option
from emperor.uwsgi.options import UwsgiOptions, uwsgi_options
from tests.uwsgi.house import ALICE, AS_BOB, AS_ROOT, DOMAIN, OWN, ROOT, Machine, spec


def test_the_ini_of_the_talk() -> None:
    assert spec(f"socket = {OWN}\nfile = /srv/a.py\nidle = 93600") == Spec(
        domain=DOMAIN,
        ini=f"{DOMAIN}.ini",
        socket=OWN,
        runtime=UwsgiOptions(need_app=True),
        idle=93600,
    )


def test_a_number_of_thousands_of_digits_is_out_of_range() -> None:
    with pytest.raises(BrokenIni, match="out of range"):
        spec(f"idle = {'9' * 5000}")


# Idle, backlog, need-app.


@pytest.mark.parametrize(
    ("text", "idle"),
    [
        ("master", 500),
        ("master\n[emperor]\nidle = 60", 60),
        ("master\n[emperor]\nidle = 1h30m", 5400),
        ("idle = 30\n[emperor]\nidle = 60", 30),
        ("idle = 30\nidle = 40", 40),
        ("idle = 26h", 26),
        ("idle = soon", 0),
        ("idle", 0),
        ("idle = 0\n[emperor]\nidle = 60", 0),
    ],
)
def test_idle_of_uwsgi_wins_over_emperor_and_settings(text: str, idle: int) -> None:
    assert spec(text, idle=500).idle == idle


@pytest.mark.parametrize(
    ("idle", "cure"), [("-1", "use 0 or more"), ("99999999999", "use 2147483647 or less")]
)
def test_an_idle_time_that_uwsgi_refuses_is_refused(idle: str, cure: str) -> None:
    with pytest.raises(BrokenIni, match=f"line 3: idle = {idle} is out of range; {cure}"):
        spec(f"master\nidle = {idle}")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("vacuum = true", 65535),
        ("buffer-size = 8192", 8192),
        ("buffer-size = 8192\nbuffer-size = 16384", 16384),
        ("buffer-size = 64k", 64),
        ("buffer-size = 70000", 65535),
        ("buffer-size = -1", 65535),
        ("buffer-size = large", 0),
    ],
)
def test_a_buffer_size_is_read_as_uwsgi_reads_it(text: str, size: int) -> None:
    assert spec(text).head_bytes == size


@pytest.mark.parametrize(
    ("text", "backlog"),
    [
        ("master", 4096),
        ("listen = 128", 128),
        ("listen = 0", 1),
        ("listen = 128\n[emperor]\nbacklog = 512", 512),
    ],
)
def test_backlog_of_emperor_wins_over_listen_and_settings(text: str, backlog: int) -> None:
    assert spec(text).backlog == backlog


def needs_app(text: str, in_settings: bool = True) -> bool:
    return uwsgi_options(spec(text, need_app=in_settings)).need_app


@pytest.mark.parametrize(
    "option",
    [
        "file = a.py", "wsgi-file = a.py", "module = a", "wsgi = a:app", "mount = /b=a.py",
        "eval = application = a", "paste = config:/a.ini", "ini-paste = /a.ini", "pump = a",
    ],
)  # fmt: skip
def test_an_app_that_is_named_must_load(option: str) -> None:
    assert needs_app(option)
    assert not needs_app(option, in_settings=False)
    assert not needs_app(f"{option}\n[emperor]\nneed-app = no")
    assert needs_app(f"{option}\n[emperor]\nneed-app = yes", in_settings=False)
    assert not needs_app(f"{option}\nneed-app = false"), "uWSGI's own option wins"


@pytest.mark.parametrize("option", ["pythonpath = /srv", "static-map = /=/srv", "callable = app"])
def test_where_no_app_is_named_none_is_needed(option: str) -> None:
    assert not needs_app(option)


# Options that the ini forbids.


@pytest.mark.parametrize("option", ["whitelist = file idle", "blacklist = uid set", "whitelist ="])
def test_an_ini_that_forbids_our_options_is_refused(option: str) -> None:
    with pytest.raises(BrokenIni, match=r"line 2: .* also forbids options that emperord gives"):
        spec(option)
    name = option.partition(" ")[0]
    assert spec(f"{option}\nend-{name} = true").overlaps
    assert spec("blacklist = uid gid").overlaps


# Reloading.


@pytest.mark.parametrize(
    "option",
    [
        "mule = a.py", "mules = 2", "farm = a:1", "cron = 0 0 0 0 0 true", "cron2 = true",
        "unique-cron = 0 0 0 0 0 true", "spooler = /srv/spool", "attach-daemon = redis",
        "smart-attach-daemon = /a.pid a", "attach-daemon2 = cmd=a", "http = :80", "stats = :1717",
        "shared-socket = :90", "flock = /srv/lock", "udp = :17",
        # These sockets are not written where a successor reads a descriptor.
        "shared-socket = :90\nsocket = =0", "socket = :9\nsocket = :9", "socket = :%\n90",
        "http-socket = :80\nenv = A=%(http-socket)",
        "\n".join(f"socket = :{port}" for port in range(80, 89)),
        # These are taken before it is known whether the app can be loaded.
        "lazy-apps = true\nstats = /run/a.stats", "lazy = true\nmaster-fifo = /run/a.fifo",
    ],
)  # fmt: skip
def test_what_cannot_run_twice_is_restarted(option: str) -> None:
    assert not spec(option).overlaps
    assert spec(f"{option}\n[emperor]\non-change = overlap").overlaps, "unless the ini insists"


@pytest.mark.parametrize(
    "option", ["processes = 4", "stats = /tmp/a.stats", "http-socket = :80", "lazy-apps = true"]
)
def test_everything_else_boots_beside_its_predecessor(option: str) -> None:
    assert spec(option).overlaps
    assert not spec(option, on_change=OnChange.RESTART).overlaps
    assert not spec(f"{option}\n[emperor]\non-change = restart").overlaps


def test_an_error_about_another_file_names_no_line() -> None:
    here, elsewhere = (Option("master", "1", line) for line in (3, 0))
    assert str(here.broken("a cause", "a cure")) == "line 3: a cause; a cure"
    assert str(elsewhere.broken("a cause", "a cure")) == "a cause; a cure"


# Always on.


@pytest.mark.parametrize(
    ("text", "idle"),
    [
        ("[emperor]\nalways = true", 0),
        ("[emperor]\nalways = On\nidle = 0", 0),
        ("idle = 0\n[emperor]\nalways = true", 0),
        ("idle = 60\n[emperor]\nalways = false", 60),
        ("[emperor]\nalways = no\nidle = 1h", 3600),
        ("[emperor]\nalways = false", 93600),
        ("[emperor]\nalways = false\nalways = true", 0),
    ],
)
def test_always_says_what_idle_0_does(text: str, idle: int) -> None:
    assert spec(f"file = /srv/a.py\n{text}").idle == idle


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[emperor]\nalways = true\nidle = 1h",
         "line 4: always = true contradicts idle = 1h in line 5; drop one of the two"),
        ("idle = 60\n[emperor]\nalways = true",
         "line 5: always = true contradicts idle = 60 in line 3; drop one of the two"),
        ("idle = 60\n[emperor]\nalways = true\nidle = 0",
         "line 5: always = true contradicts idle = 60 in line 3; drop one of the two"),
        ("[emperor]\nalways = false\nidle = 0",
         "line 4: always = false contradicts idle = 0 in line 5; drop one of the two"),
        ("[emperor]\nalways = sometimes", "line 4: cannot use always = 'sometimes' in"),
        ("[emperor]\nalways =", "line 4: cannot use always = '' in"),
    ],
)  # fmt: skip
def test_always_and_idle_must_not_contradict(text: str, error: str) -> None:
    with pytest.raises(BrokenIni, match=error):
        spec(f"file = /srv/a.py\n{text}")


# Which user uWSGI changes to by itself.


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("", ""),
        ("uid = bob\ngid = 1002", "uid = bob, gid = 1002"),
        ("immediate-uid = bob\nimmediate-gid = bobs\nadd-gid = alices",
         "immediate-uid = bob, immediate-gid = bobs, add-gid = alices"),
        ("uid = bob\ngid = bobs\nuid = alice", "uid = bob, gid = bobs, uid = alice"),
        ("declare-option = as=uid=$1;gid=$2\nas = bob bobs\ngid = bobs",
         "uid = bob, gid = bobs, gid = bobs"),
    ],
)  # fmt: skip
def test_users_that_uwsgi_changes_to_are_known(lines: str, told: str) -> None:
    assert spec(f"file = /srv/a.py\n{lines}\n[emperor]\nuid = root").drops_to == told


@pytest.mark.parametrize(("owner", "machine"), [(ALICE, AS_ROOT), (ROOT, AS_BOB)])
def test_only_root_changes_to_another_user(owner: FileOwner, machine: Machine) -> None:
    assert spec("file = /srv/a.py\nuid = bob", owner, machine).drops_to == ""


@pytest.mark.parametrize(
    ("text", "once"),
    [
        ("", Once.NO),
        ("cron = 0 0 -1 -1 -1 /bin/true", Once.SOFT),
        ("mule", Once.SOFT),
        ("spooler = /tmp", Once.SOFT),
        ("attach-daemon = /bin/sleep 9", Once.SOFT),
        ("mule\n[emperor]\nonce = false", Once.NO),
        ("mule\n[emperor]\nonce = true", Once.STRICT),
        ("[emperor]\nonce = yes", Once.STRICT),
        ("[emperor]\nonce = soft", Once.SOFT),
    ],
)
def test_an_app_with_jobs_runs_once_in_a_fleet(text: str, once: Once) -> None:
    assert spec(f"module = app\n{text}").once is once


def test_another_once_is_refused() -> None:
    with pytest.raises(
        BrokenIni, match=r"once = 'twice' in .emperor.: must be true or false, or soft"
    ):
        spec("module = app\n[emperor]\nonce = twice")
