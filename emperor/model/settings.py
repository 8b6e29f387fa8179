"""The settings of emperord: a table of all keys, and the parser of the settings file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

from emperor.model.limits import LIMITS, Amount, Limit, LimitSettings, contradiction
from emperor.model.section import SettingsError, keys_of, line_of
from emperor.model.setting_values import (
    Python,
    absolute_command_of,
    any_seconds,
    backend_of,
    backlog_of,
    boolean,
    bound_of,
    command_of,
    ini_path,
    mode_of,
    one_of,
    optional_path,
    path_of,
    positive_seconds,
    pythons_of,
    seconds,
    size_of,
    spelled_mode,
    spelled_pythons,
    spelled_size,
    spelled_value,
    uid_of,
    url_of,
    whole_seconds,
)
from emperor.model.spec import Activation, Bases, OnChange, Repeat
from emperor.model.weight import parse_weight, spelled_weight

SECTION = "emperord"


@dataclass(frozen=True, slots=True)
class Settings:
    """The value of each key. Durations are in seconds."""

    vassals_dir: Path
    vassal_defaults: Path | None
    sockets_dir: Path
    run_dir: Path
    log_dir: Path
    log_max_size: int
    history_max_age: float
    history_max_rows: int
    metrics_vassals: int
    uwsgi_binary: Path | None
    pythons: tuple[Python, ...]
    python_home: Path | None
    bases: Bases
    activation: Activation
    idle: int
    need_app: bool
    start_timeout: float
    stop_timeout: float
    throttle_first: float
    throttle_max: float
    backlog: int
    on_change: OnChange
    repeat: Repeat
    page_after: float
    pages_dir: Path
    wake_header: bool
    max_held: int
    max_held_per_domain: int
    max_starting: int | None
    max_running: int
    provision_command: tuple[str, ...]
    provision_timeout: float
    registry_config: Path | None
    registry_forget: float
    fleet_address: str
    fleet_weight: Fraction
    notify_command: tuple[str, ...]
    notify_url: str
    notify_secret_file: Path | None
    socket_owner: str
    socket_group: str
    socket_mode: int
    memory_max: Amount
    memory_high: Amount
    pids_max: Amount
    cpu_weight: int
    cpu_max: int
    io_weight: int
    nofile: int
    nice: int
    tenant_memory_max: Amount
    tenant_memory_high: Amount
    tenant_pids_max: Amount
    tenant_cpu_weight: int
    tenant_cpu_max: int
    tenant_io_weight: int
    cpu_yield: bool
    control_group: str
    no_new_privs: bool
    min_uid: int
    allow_root: bool
    byte_compile: bool
    read_ahead: bool

    def limits(self, of: str = "") -> LimitSettings:
        """The limits of each app, or those of each tenant: of "tenant_"."""
        names = [f.name for f in fields(LimitSettings) if hasattr(self, of + f.name)]
        return LimitSettings(**{name: getattr(self, of + name) for name in names})


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: its name in the file and as a flag, its default as the file spells it, how a
    text becomes a value, and a value a text."""

    name: str
    default: str
    metavar: str
    parse: Callable[[str], Any]
    help: str
    spell: Callable[[Any], str] = spelled_value

    @property
    def field(self) -> str:
        """The attribute of `Settings` that holds the value."""
        return self.name.replace("-", "_")


def _key(limit: Limit, of: str, default: str, text: str) -> Key:
    return Key(of + limit.name, default, limit.metavar, limit.parse, text, limit.spell)


KEYS = (
    Key("vassals-dir", "/etc/uwsgi/vassals", "DIR", path_of,
        "folder of the inis: DOMAIN.ini; _.DOMAIN.ini: subdomains"),
    Key("vassal-defaults", "", "FILE", ini_path,
        "an ini that uWSGI reads before each ini of vassals-dir"),
    Key("sockets-dir", "/var/sockets", "DIR", path_of, "folder of the sockets, DOMAIN/socket"),
    Key("run-dir", "/run/emperord", "DIR", path_of, "folder of activate.sock and control.sock"),
    Key("log-dir", "/var/log/emperord", "DIR", path_of, "folder of the apps' logs, DOMAIN.log"),
    Key("log-max-size", "200M", "SIZE", size_of,
        "a log above this is cut to its end within a second; 0: no limit", spelled_size),
    Key("history-max-age", "30d", "TIME", any_seconds,
        "how long starts, stops and hits are kept for `stats`; 0: not"),
    Key("history-max-rows", "200000", "N", bound_of,
        "how many of these are kept at most; 0: none"),
    Key("metrics-vassals", "1000", "N", bound_of,
        "how many vassals have metrics of their own; 0: none"),
    Key("uwsgi-binary", "", "FILE", optional_path,
        "the uWSGI program; by default beside emperord's Python, else on PATH"),
    Key("pythons", "", "LIST", pythons_of,
        "other uWSGI programs that an ini may choose: 3.12:/opt/uwsgi-3.12/bin/uwsgi ...",
        spelled_pythons),
    Key("python-home", "", "DIR", optional_path,
        "home or virtualenv of apps that name none; by default the system's Python"),
    Key("bases", "auto", "WAY", one_of(Bases),
        "apps are forked from preloaded interpreters (auto), one (standard), none (off)"),
    Key("activation", "fallback", "WAY", one_of(Activation),
        "fallback: requests wait for a boot in emperord; socket: on the socket"),
    Key("idle", "26h", "TIME", whole_seconds,
        "an app without requests for this long is put to sleep; 0: it runs always"),
    Key("need-app", "true", "BOOL", boolean, "an app that cannot be imported fails to start"),
    Key("start-timeout", "60s", "TIME", positive_seconds,
        "an app that does not accept by then is killed"),
    Key("stop-timeout", "60s", "TIME", positive_seconds,
        "a stopping app that has not ended by then is killed"),
    Key("throttle-first", "1s", "TIME", positive_seconds,
        "delay between a first failure and the next start"),
    Key("throttle-max", "3m", "TIME", positive_seconds,
        "each further failure doubles the delay, up to this"),
    Key("backlog", "4096", "N", backlog_of,
        "connections that a socket queues; at most net.core.somaxconn"),
    Key("on-change", "overlap", "WAY", one_of(OnChange),
        "overlap: a changed app boots beside the old one; restart: after it"),
    Key("repeat", "never", "WAY", one_of(Repeat),
        "safe: a GET that its app has not answered runs once more; never: it gets 502"),
    Key("page-after", "2s", "TIME", seconds,
        "a browser that navigates and waits this long gets a waiting page"),
    Key("pages-dir", "/etc/uwsgi/pages", "DIR", path_of,
        "folder of your own pages for visitors; each file is optional"),
    Key("wake-header", "false", "BOOL", boolean,
        "a reply that waited for a start says how long: X-Emperord-Wake: 101ms"),
    Key("max-held", "12000", "N", bound_of,
        "requests that wait for the boots of all apps; more get 503; 0: no limit"),
    Key("max-held-per-domain", "6000", "N", bound_of,
        "requests that wait for the boot of one app; 0: no limit"),
    Key("max-starting", "", "N", lambda text: bound_of(text) if text else None,
        "apps that boot at once; by default, two for each core; 0: no limit"),
    Key("max-running", "0", "N", bound_of,
        "apps that run at once; the longest unused makes room; 0: no limit"),
    Key("provision-command", "", "COMMAND", command_of,
        "run with a domain that has no ini; may add the ini"),
    Key("provision-timeout", "30s", "TIME", positive_seconds,
        "time in which provision-command must add the ini"),
    Key("registry-config", "", "FILE", optional_path,
        "how to reach the registry of a fleet; inis of new hosts come from there"),
    Key("registry-forget", "30d", "TIME", any_seconds,
        "such an ini leaves the disk when nobody has used it so long; 0: never"),
    Key("fleet-address", "", "ADDR", backend_of,
        "this backend as in the balancers' lists; it registers itself under that"),
    Key("fleet-weight", "1", "WEIGHT", parse_weight,
        "how much of the domains this backend should get, over others", spelled_weight),
    Key("notify-command", "", "COMMAND", absolute_command_of,
        "run with a notice as JSON on its input when something is wrong, or is over"),
    Key("notify-url", "", "URL", url_of, "the same notices are sent there by POST, signed"),
    Key("notify-secret-file", "", "FILE", optional_path,
        "file of root's with the secret that signs what goes to notify-url"),
    Key("socket-owner", "root", "USER", str, "owner of the sockets"),
    Key("socket-group", "www-data", "GROUP", str,
        "group of the sockets; nginx's, so that nginx may connect"),
    Key("socket-mode", "0660", "MODE", mode_of, "mode of a socket while nginx may connect",
        spelled_mode),
    *(_key(limit, "", limit.default, f"of each app: {limit.help}") for limit in LIMITS),
    *(_key(limit, "tenant-", limit.of_tenant, f"{limit.name} of all apps of one user together")
      for limit in LIMITS if limit.of_tenant is not None),
    Key("cpu-yield", "true", "BOOL", boolean,
        "a user whose apps take all of the CPU yields it to others meanwhile"),
    Key("control-group", "emperor", "GROUP", str,
        "group of the administrators, who may do all with `emperorctl`"),
    Key("no-new-privs", "true", "BOOL", boolean,
        "programs with setuid, setgid or capabilities give apps no further rights"),
    Key("min-uid", "1000", "UID", uid_of,
        "no app runs as a user below it: accounts of the system, such as www-data"),
    # A new installation gets false (docs/settings_page.py). An upgrade must not stop sites.
    Key("allow-root", "true", "BOOL", boolean, "apps of inis of root's may run as root"),
    Key("byte-compile", "true", "BOOL", boolean,
        "compile the Python of a new or changed app in the background"),
    Key("read-ahead", "true", "BOOL", boolean,
        "read the files of an app from the disk at once when it starts"),
)  # fmt: skip


def read_settings(text: str, origin: str, flags: Mapping[str, str]) -> Settings:
    """Settings from the text of a file named `origin`, over which `flags` (by key) win.

    Raises SettingsError that names the file or the flag, the key, and what would be right.
    """
    names = [key.name for key in KEYS]
    written = {
        name: (value, f"{origin}, line {line_of(name, text, SECTION)}")
        for name, value in keys_of(text, origin, SECTION, names, "emperord(8)").items()
    }
    written |= {name: (value, f"--{name}") for name, value in flags.items()}
    values: dict[str, Any] = {}
    for key in KEYS:
        value, where = written.get(key.name, (key.default, "the default"))
        try:
            values[key.field] = key.parse(value)
        except ValueError as error:
            raise SettingsError(
                f"cannot use {key.name} = {value!r} from {where}: {error}"
            ) from error
    settings = Settings(**values)
    defaults = settings.vassal_defaults
    if defaults is not None and defaults.parent == settings.vassals_dir:
        raise SettingsError(
            "cannot use vassal-defaults: in vassals-dir it would be a vassal; move it to another"
            " folder"
        )
    if settings.throttle_max < settings.throttle_first:
        raise SettingsError(
            "cannot use throttle-max: it is less than throttle-first; raise it, or lower that"
        )
    if settings.notify_url and settings.notify_secret_file is None:
        raise SettingsError(
            "cannot use notify-url: nobody could tell a notice from a forged one; set"
            " notify-secret-file"
        )
    if settings.fleet_address and settings.registry_config is None:
        raise SettingsError("cannot use fleet-address without a registry; set registry-config")
    for of in ("", "tenant_"):
        if why := contradiction(settings.limits(of)):
            raise SettingsError(f"cannot use the limits of {of.strip('_') or 'apps'}: {why}")
    return settings


def spelled(settings: Settings) -> dict[str, str]:
    """Each key with its value, as `read_settings` takes it for a flag."""
    return {key.name: key.spell(getattr(settings, key.field)) for key in KEYS}


assert [key.field for key in KEYS] == [field.name for field in fields(Settings)]
