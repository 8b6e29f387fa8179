"""What an ini asks of the daemon, and the errors with line, cause and cure."""

from pathlib import Path

import pytest

from emperor.model.definition import BrokenIni, FileOwner
from emperor.model.spec import Activation, InheritedSocket, Once, OnChange, Spec, WireProtocol
from emperor.uwsgi.ini import Option
from emperor.uwsgi.options import Adoption, UwsgiOptions, uwsgi_options
from emperor.uwsgi.spec import spec_of
from tests.uwsgi.house import (
    ALICE,
    AS_BOB,
    AS_ROOT,
    DOMAIN,
    OWN,
    ROOT,
    SETTINGS,
    Machine,
    ini_of,
    of_owner,
    spec,
)  # fmt: skip


def test_the_ini_of_the_talk() -> None:
    assert spec(f"socket = {OWN}\nfile = /srv/a.py\nidle = 93600") == Spec(
        domain=DOMAIN,
        ini=f"{DOMAIN}.ini",
        socket=OWN,
        runtime=UwsgiOptions(need_app=True),
        idle=93600,
    )


@pytest.mark.parametrize(
    ("options", "can_pause"),
    [
        ("workers = 4", True),
        ("threads = 1", True),
        ("enable-threads = true", True),
        ("threads = 2", False),
        ("threads = 4\nthreads = 1", True),
        ("gevent = 10", False),
        ("async = 10", False),
        ("loop = asyncio", False),
    ],
)
def test_workers_with_threads_or_another_loop_cannot_be_paused(
    options: str, can_pause: bool
) -> None:
    made = spec(f"file = /srv/a.py\n{options}")
    assert uwsgi_options(made).can_pause == can_pause


# Which socket.


def test_an_ini_without_a_socket_is_served_at_its_domains() -> None:
    made = spec("file = /srv/a.py")
    assert (made.socket, uwsgi_options(made)) == (
        OWN,
        UwsgiOptions(names_socket=False, need_app=True),
    )


@pytest.mark.parametrize(
    "spelling",
    [
        OWN,
        f"/var//sockets/{DOMAIN}/socket",
        f"/var/sockets/./{DOMAIN}/socket",
        f"/var/sockets/{DOMAIN}//socket",
    ],
)
def test_a_socket_is_bound_as_the_ini_spells_it(spelling: str) -> None:
    made = spec(f"socket = {spelling}")
    assert (made.socket, made.foreign_sockets) == (spelling, ())
    assert uwsgi_options(made).names_socket


def test_a_path_with_dots_that_lead_back_is_refused() -> None:
    with pytest.raises(BrokenIni, match="write the path without"):
        spec(f"socket = /home/link/../../var/sockets/{DOMAIN}/socket")


@pytest.mark.parametrize("option", ["socket =", "http-socket"])
def test_an_empty_socket_is_refused(option: str) -> None:
    with pytest.raises(BrokenIni, match=r"line 2: .*socket is empty; write an address"):
        spec(option)


def test_an_ini_full_of_sockets_is_refused() -> None:
    spec(f"{OWN}\nhttp-socket = :8001\n" + "shared-socket = /a\n" * 62)
    with pytest.raises(BrokenIni, match="it has 3000 sockets, and emperord takes 64"):
        spec("http-socket==0\n" * 3000)


def test_a_number_of_thousands_of_digits_is_out_of_range() -> None:
    with pytest.raises(BrokenIni, match="out of range"):
        spec(f"idle = {'9' * 5000}")


@pytest.mark.parametrize(
    ("option", "protocol"),
    [
        ("socket", WireProtocol.UWSGI),
        ("uwsgi-socket", WireProtocol.UWSGI),
        ("http-socket", WireProtocol.HTTP),
        ("http11-socket", WireProtocol.HTTP),
        ("fastcgi-socket", WireProtocol.FASTCGI),
        ("fastcgi-nph-socket", WireProtocol.FASTCGI),
        ("scgi-socket", WireProtocol.SCGI),
        ("scgi-nph-socket", WireProtocol.SCGI),
        ("raw-socket", WireProtocol.RAW),
        ("puwsgi-socket", WireProtocol.PERSISTENT_UWSGI),
    ],
)
def test_any_front_end_may_speak_what_the_ini_says(option: str, protocol: WireProtocol) -> None:
    text = f"socket = :8080\n{option} = {OWN}\nsocket = {OWN}\n[emperor]\nactivation = socket"
    made = spec(text)
    assert made.protocol is protocol
    assert uwsgi_options(made) == UwsgiOptions(socket_option=option)


@pytest.mark.parametrize(
    "option",
    [
        "http-socket = OWN", "http11-socket = OWN", "fastcgi-socket = OWN", "scgi-socket = OWN",
        "puwsgi-socket = OWN", "https-socket = OWN,a.crt,a.key", "protocol = http",
        "socket-protocol = fastcgi", "protocol = http\nsocket = OWN", "protocol = uwsgi",
        "socket = OWN\nprotocol = scgi", "protocol = http\nsocket = :8080",
    ],
)  # fmt: skip
def test_nginx_is_spoken_to_in_uwsgi_whatever_the_ini_says(option: str) -> None:
    made = spec(option.replace("OWN", OWN))
    assert (made.socket, made.protocol) == (OWN, WireProtocol.UWSGI)
    assert uwsgi_options(made).adoption is Adoption.BY_FD


def test_a_protocol_is_that_of_plain_sockets_alone() -> None:
    emperor = "[emperor]\nactivation = socket"
    made = spec(f"socket = {OWN}\nprotocol = http\nsocket-protocol = fastcgi\n{emperor}")
    assert (made.protocol, uwsgi_options(made).socket_option) == (WireProtocol.FASTCGI, "socket")
    assert spec(f"protocol = http\n{emperor}").protocol is WireProtocol.UWSGI


@pytest.mark.parametrize("option", [f"http-socket = {OWN}", f"protocol = http\nsocket = {OWN}"])
def test_gevent_with_a_protocol_that_nginx_lacks_is_refused(option: str) -> None:
    with pytest.raises(BrokenIni, match=r"nginx speaks uwsgi to that socket; write uwsgi-socket ="):
        spec(f"{option}\ngevent = 10")


def test_a_protocol_that_uwsgi_lacks_is_refused() -> None:
    with pytest.raises(BrokenIni, match=r"line 3: uWSGI has no protocol 'htp'; use one of uwsgi, "):
        spec("socket = :8080\nprotocol = htp")
    assert spec("protocol = htp\nhttp-socket = :8080").protocol is WireProtocol.UWSGI


@pytest.mark.parametrize(
    ("option", "foreign"),
    [
        ("socket = :8080", "0.0.0.0:8080"),
        ("http-socket = 127.0.0.1:8080", "127.0.0.1:8080"),
        ("socket = [::1]:8080", "[::1]:8080"),
        ("socket = /run//a/../b.sock", "/run/b.sock"),
        ("socket = b.sock", "/etc/uwsgi/vassals/b.sock"),
        ("socket = @b", "@b"),
        ("socket = \\0b", "@b"),
        (f"socket = /var/sockets/{DOMAIN}/second", f"/var/sockets/{DOMAIN}/second"),
        ("https-socket = :8443,a.crt,a.key", "0.0.0.0:8443"),
        ("shared-socket = :8080", "0.0.0.0:8080"),
        ("shared-socket = b.sock\nchdir = /srv", "/etc/uwsgi/vassals/b.sock"),
        ("chdir = /srv\nsocket = b.sock", "/srv/b.sock"),
        ("socket = b.sock\nchdir = /a\nchdir = /srv/./x/..\nchdir2 = /b", "/srv/b.sock"),
        ("chdir = a\nsocket = b.sock", "/etc/uwsgi/vassals/a/b.sock"),
        ("chroot = /jail\nsocket = /run/b.sock", "/jail/run/b.sock"),
        ("chroot = /jail/\nchdir = /srv\nsocket = b.sock", "/jail/srv/b.sock"),
        ("chroot = /jail\nsocket = b.sock", "/etc/uwsgi/vassals/b.sock"),
        ("chroot = /jail\nchown-socket = a\nsocket = /run/b.sock", "/run/b.sock"),
    ],
)
def test_a_socket_elsewhere_is_kept_beside_that_of_the_domain(option: str, foreign: str) -> None:
    made = spec(option)
    by_exec = option.partition("\n")[0] if option.startswith("chroot") else ""
    assert (made.socket, uwsgi_options(made)) == (
        OWN, UwsgiOptions(names_socket=False, by_exec=by_exec)
    )  # fmt: skip
    assert made.foreign_sockets == (foreign,)
    assert made.overlaps is ("shared-socket" not in option), "a successor takes it over"


@pytest.mark.parametrize("address", [":0", "127.0.0.1:", "127.0.0.1:0", "fd://3"])
def test_an_address_that_cannot_conflict_is_no_claim(address: str) -> None:
    made = spec(f"socket = {address}")
    assert (made.foreign_sockets, made.overlaps) == ((), True)


def test_a_shared_socket_is_claimed_once_and_used_by_its_number() -> None:
    made = spec("shared-socket = :8080\nhttp-socket = =0\nfile = app.py")
    assert (made.socket, made.foreign_sockets) == (OWN, ("0.0.0.0:8080",))
    for text in ("http-socket = =0\nshared-socket = :8080", "shared-socket = :1\nsocket = =1"):
        with pytest.raises(BrokenIni, match="has no such shared-socket above it; add it"):
            spec(text)
    with pytest.raises(BrokenIni, match="would replace the socket that emperord listens on"):
        spec(f"shared-socket = {OWN}\nsocket = =0")


@pytest.mark.parametrize(
    "option",
    [
        "socket = /var/sockets/b.example/socket", "socket = /var//sockets/b.example/x",
        "shared-socket = /var/sockets/b.example/socket",
        "chdir = /var/sockets\nsocket = b.example/x",
        "chroot = /var/sockets\nsocket = /b.example/socket",
    ],
)  # fmt: skip
def test_a_neighbours_socket_is_refused(option: str) -> None:
    with pytest.raises(BrokenIni, match=r"^line \d: .* of b\.example; name"):
        spec(f"master\n{option}")


@pytest.mark.parametrize("path", [f"../../../var/sockets/{DOMAIN}/socket", "socket"])
def test_a_relative_path_of_the_own_socket_is_refused(path: str) -> None:
    folder = f"\nchdir = /var/sockets/{DOMAIN}" if path == "socket" else ""
    with pytest.raises(BrokenIni, match=r"line 2: socket = .* is relative; write the path from /"):
        spec(f"socket = {path}{folder}")


def test_a_path_that_is_too_long_is_refused_with_both_lengths() -> None:
    root = Path("/" + "s" * 100)
    with pytest.raises(BrokenIni, match="has 122 bytes and the kernel takes 107; choose a shorter"):
        spec("master", sockets_dir=root)
    longest = 107 - len(f"/{DOMAIN}/socket")
    assert len(spec("master", sockets_dir=Path("/" + "s" * (longest - 1))).socket) == 107


# How the socket is handed over.


def adoption(text: str) -> Adoption:
    return uwsgi_options(spec(text)).adoption


@pytest.mark.parametrize(
    "option",
    [
        "gevent = 100", "asyncio = 100", "tornado = 100", "map-socket = 0:1",
        "loop = gevent\nasync = 9", "gevent = 9\nthreads = 4",
        "worker-exec = /bin/true", "worker-exec2 = /bin/true", "python-worker-override = a.py",
        "stats = %(socket).stats",
    ],
)  # fmt: skip
def test_options_that_use_every_socket_get_it_by_name(option: str) -> None:
    assert adoption(f"socket = {OWN}\n{option}") is Adoption.BY_NAME
    assert adoption(option) is Adoption.BY_FD, "there is no entry of the ini to trip over"


def test_an_encrypted_socket_is_given_by_name_for_its_keys() -> None:
    text = f"https-socket = {OWN},/srv/a.crt,/srv/a.key\n[emperor]\nactivation = socket"
    made = spec(text)
    assert (made.socket, made.protocol) == (OWN, WireProtocol.TLS)
    assert uwsgi_options(made).adoption is Adoption.BY_NAME


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


# Workers.


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("processes = 0", "line 2: processes = 0 counts as 0, so no worker accepts"),
        ("processes = auto", "line 2: processes = auto counts as 0, so"),
        ('workers = "4"', 'line 2: workers = "4" counts as 0, so'),
        ("processes =", "line 2: processes is empty, so"),
        ("workers", "line 2: workers is empty"),
        ("workers = $(CPUS)", "line 2: workers = $(CPUS) has no value, since that variable is not"),
        ("workers = 2\nprocesses = none", "line 3: processes = none counts as 0"),
        ("processes = -1", "line 2: processes = -1 is out of range; use 1 or more"),
        ("workers = 99999999999", "line 2: workers = 99999999999 is out of range; use 2147483647"),
        ("gevent = -1", "line 2: gevent = -1 is out of range; use 2 or more"),
        ("limit-nproc = 1", "line 2: limit-nproc = 1 leaves the master without a worker"),
        ("gevent = 0", "line 2: gevent = 0 counts as 0, so no worker can handle a request; write"),
        ("gevent = true", "line 2: gevent = true counts as 0"),
        ("async = 9\nthreads = 2", "line 2: uWSGI's loop for async does not run in threads, so no"),
        ("async = 9\nthreads = 2\nugreen = true", "line 2: uWSGI's loop for async does not run in"),
        ("gevent = 1", "line 2: gevent = 1 is too few for the loop of gevent"),
        ("loop = gevent", "line 2: loop = gevent alone handles one request at once"),
        (
            "declare-option = app=file=$1;processes=$2\napp = a.py 0",
            "line 3: processes = 0 counts as 0, so no worker accepts requests",
        ),
        ("gevent = 10\nasync =", "line 3: async is empty"),
        ("loop = gevent\nasync = 0", "line 3: async = 0 counts as 0"),
    ],
)
def test_an_ini_without_a_worker_is_refused_at_once(text: str, cause: str) -> None:
    with pytest.raises(BrokenIni) as broken:
        spec(text)
    assert str(broken.value).startswith(cause)
    assert broken.value.cure


@pytest.mark.parametrize(
    ("template", "uses"),
    [
        (";".join(["workers=1"] * 800), ["a = 1"] * 400),
        ("$1" * 900, [f"a = {'$2' * 900} {'$3' * 900} {'x' * 900}"]),
        ("$1" * 9000, ["a ="] * 400),
    ],
    ids=["many", "long", "empty"],
)
def test_what_declared_options_stand_for_has_an_end(template: str, uses: list[str]) -> None:
    declared = f"declare-option = a={template}"
    assert spec(f"{declared}\n[emperor]").overlaps
    with pytest.raises(BrokenIni, match="the declared option a makes the ini longer than 64 KiB"):
        spec("\n".join([declared, *uses]))


@pytest.mark.parametrize(
    "text",
    [
        "processes = 0\nworkers = 2", "workers = +2", "processes = 2 ; two", "processes = %k",
        "workers = @(exec://nproc)", "limit-nproc = 2", "gevent = 0\nasync = 5", "async = 0",
        "gevent = 10",
    ],
)  # fmt: skip
def test_an_ini_with_a_worker_is_served(text: str) -> None:
    assert spec(text).overlaps


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


def test_a_socket_passes_on_by_its_line() -> None:
    made = spec("# one\nsocket = %n.sock\nhttps-socket = :8443,a.crt,a.key")
    assert made.inherited == (
        InheritedSocket(f"/etc/uwsgi/vassals/{DOMAIN}.sock", f"{DOMAIN}.sock", 3),
        InheritedSocket("0.0.0.0:8443", ":8443,a.crt,a.key", 4),
    )


@pytest.mark.parametrize(
    "option", ["processes = 4", "stats = /tmp/a.stats", "http-socket = :80", "lazy-apps = true"]
)
def test_everything_else_boots_beside_its_predecessor(option: str) -> None:
    assert spec(option).overlaps
    assert not spec(option, on_change=OnChange.RESTART).overlaps
    assert not spec(f"{option}\n[emperor]\non-change = restart").overlaps


# The rest of [emperor].


def test_emperor_overrides_the_settings_for_one_vassal() -> None:
    made = spec(
        "master\n[emperor]\nactivation = socket\nstart-timeout = 5\nstop-timeout = 0.5\nx=1"
    )
    assert (made.activation, made.start_timeout, made.stop_timeout) == (Activation.SOCKET, 5, 0.5)
    in_units = spec("master\n[emperor]\nstart-timeout = 5m\nstop-timeout = 500ms")
    assert (in_units.start_timeout, in_units.stop_timeout) == (300, 0.5)


@pytest.mark.parametrize(
    "option",
    [
        "idle = soon", "idle = -1", "idle = 1.5", "activation = maybe", "start-timeout = 0",
        "stop-timeout = x", "stop-timeout = 25h", "on-change = later", "backlog = 0",
        "need-app = perhaps", "idle",
    ],
)  # fmt: skip
def test_a_bad_value_in_emperor_is_refused_by_line(option: str) -> None:
    key = option.partition(" ")[0]
    with pytest.raises(BrokenIni, match=rf"line 4: cannot use {key} = .* in \[emperor\]: "):
        spec(f"master\n[emperor]\n{option}")


# Aliases.


@pytest.mark.parametrize("key", ["start-timeout", "stop-timeout"])
def test_a_tenant_may_shorten_timeouts_and_not_lengthen_them(key: str) -> None:
    field = key.replace("-", "_")
    assert getattr(spec(f"file = app.py\n[emperor]\n{key} = 59", ALICE), field) == 59
    assert getattr(spec(f"file = app.py\n[emperor]\n{key} = 600"), field) == 600
    assert getattr(spec(f"file = app.py\n[emperor]\n{key} = 61", ALICE), field) == 60


def test_aliases_are_separated_by_blanks_or_commas() -> None:
    made = spec("master\n[emperor]\naliases = b.example, c.example  d.example b.example")
    assert made.aliases == ("b.example", "c.example", "d.example")


@pytest.mark.parametrize(
    ("alias", "cause"),
    [
        (DOMAIN, "it is the ini's own name"),
        ("B.example", "it is no host name"),
        ("../b", "it is no host name"),
        ("b..example", "it is no host name"),
    ],
)
def test_an_alias_is_another_host_name(alias: str, cause: str) -> None:
    with pytest.raises(BrokenIni, match=f"line 4: cannot use the alias .*: {cause}; drop it"):
        spec(f"master\n[emperor]\naliases = c.example {alias}")


def test_the_path_through_an_alias_must_be_bindable_too() -> None:
    alias = "b" * 60 + ".example"
    with pytest.raises(BrokenIni, match="has 116 bytes and the kernel takes 107"):
        spec(f"master\n[emperor]\naliases = {alias}", sockets_dir=Path("/" + "s" * 39))


def test_a_socket_in_the_folder_of_an_alias_is_refused() -> None:
    with pytest.raises(BrokenIni, match=f"line 2: .* of b.example; name that of {DOMAIN}"):
        spec("socket = /var/sockets/b.example/socket\n[emperor]\naliases = b.example")


@pytest.mark.parametrize(
    ("owner", "machine", "may"),
    [(ROOT, AS_ROOT, True), (ALICE, AS_ROOT, False), (ROOT, AS_BOB, True),
     (FileOwner(1002, 2002), AS_BOB, True), (ALICE, AS_BOB, False)],
)  # fmt: skip
def test_a_tenant_cannot_take_a_neighbours_name(
    owner: FileOwner, machine: Machine, may: bool
) -> None:
    text = "master\n[emperor]\naliases = b.example"
    if may:
        assert spec(text, owner, machine).aliases == ("b.example",)
    else:
        with pytest.raises(BrokenIni, match=r"line 4: aliases may stand in an ini of root's alone"):
            spec(text, owner, machine)


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


def test_a_tenant_has_the_aliases_that_a_registry_grants() -> None:
    ini = ini_of("module = app\n[emperor]\naliases = a.example b.example")
    granted = of_owner(ALICE, "a.example", "b.example", "c.example")
    assert spec_of(granted, ini, SETTINGS, AS_ROOT).aliases == ("a.example", "b.example")
    for some in ((), ("a.example",)):
        with pytest.raises(BrokenIni, match="aliases may stand in an ini of root's alone"):
            spec_of(of_owner(ALICE, *some), ini, SETTINGS, AS_ROOT)


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
