"""Decides what is open on a machine, and what mends it (`emperorctl doctor`)."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from emperor.model.duration import format_duration
from emperor.model.expected_values import OF_APPS_UNIT, OF_SYSCTLS, OF_UNIT, Expected, Weight
from emperor.model.survey import Ability, IniFile, Survey, Value

_MOST_NAMES = 3
# A running vassal needs a few descriptors, and a parked vassal one.
_SPARE_FILES = 4096
_OLDEST_UWSGI = (2, 0, 26)


@dataclass(frozen=True, slots=True)
class Remark:
    """One finding about a machine, with what mends it."""

    weight: Weight
    text: str
    cure: str


# What it costs that the control groups of the apps lack a controller.
_COSTS = {
    "memory": (
        Weight.OPEN, "an app can take the memory of all others; memory-max has no effect"
    ),
    "pids": (
        Weight.OPEN,
        "an app can start so many processes that no other one starts; pids-max has no effect",
    ),
    "cpu": (
        Weight.OPEN,
        "an app that computes takes the CPU from all others, and no tenant yields; cpu-weight and"
        " cpu-max have no effect",
    ),
    "io": (
        Weight.NOTE,
        "an app that reads and writes much takes the disks from all others; io-weight has no"
        " effect",
    ),
}  # fmt: skip

# What the tables, and the rules below, look at.
SYSCTLS = (*(each.name for each in OF_SYSCTLS), "net.core.somaxconn")
PROPERTIES = (*(each.name for each in OF_UNIT), "DropInPaths")
PROPERTIES_OF_APPS = tuple(each.name for each in OF_APPS_UNIT)


def examine(survey: Survey) -> list[Remark]:
    """All remarks, what is open first."""
    found = [
        *_paths(survey),
        *_sockets(survey),
        *_inis(survey),
        *_accounts(survey),
        *_nginx(survey),
        *_unmet(OF_SYSCTLS, survey.sysctls, "{name} is {text}: {why}"),
        *_unit(survey),
        *_service(survey),
        *_agent(survey),
        *_machine(survey),
        *_disks(survey),
    ]
    return sorted(found, key=lambda remark: remark.weight is not Weight.OPEN)


def _open(text: str, cure: str) -> Remark:
    return Remark(Weight.OPEN, text, cure)


def _note(text: str, cure: str) -> Remark:
    return Remark(Weight.NOTE, text, cure)


def _paths(survey: Survey) -> Iterator[Remark]:
    for each in survey.paths:
        if each.changer:
            yield _open(
                f"others than root can change {each.changer}, and so {each.role}",
                f"chown root:root {each.changer}; chmod go-w {each.changer}",
            )
        if each.is_open and each.is_secret:
            yield _open(f"every user can read {each.path}, {each.role}", f"chmod o= {each.path}")
        if each.is_open and each.path == str(survey.settings.vassals_dir):
            yield _note(
                f"every user can list {each.role}, and read the inis there that others may read",
                f"chmod 0711 {each.path}",
            )


def _sockets(survey: Survey) -> Iterator[Remark]:
    for each in survey.sockets:
        if each.is_open:
            yield _open(
                f"every user may connect to {each.path}, and so {each.gain}",
                f"`systemctl cat {each.unit}` says who has changed SocketMode=0660; then systemctl"
                f" restart {each.unit}",
            )


def _inis(survey: Survey) -> Iterator[Remark]:
    folder = survey.settings.vassals_dir
    for inis, text, cure in (
        (_names(survey.inis, lambda ini: ini.is_open),
         "other users can write", f"chmod go-w {folder}/NAME"),
        (_names(survey.inis, lambda ini: ini.user == "root"),
         "an app runs as root by", "set uid and gid in [emperor], or chown the ini to its user"),
    ):  # fmt: skip
        if inis:
            yield _open(f"{text} {inis}", cure)
    group = survey.settings.control_group
    if inis := _names(survey.inis, lambda ini: ini.user in survey.operators):
        yield _open(
            f"an app runs as a member of {group}, which may do all that emperorctl can, by {inis}",
            f"give it a user of its own, or gpasswd -d USER {group}",
        )
    user = survey.nginx.user if survey.nginx else ""
    if user and (inis := _names(survey.inis, lambda ini: ini.user == user)):
        yield _open(
            f"an app runs as nginx's user {user}, which may connect to the sockets of all"
            f" apps, by {inis}",
            "give each app a user of its own: uid in [emperor], or the owner of the ini",
        )


def _names(inis: Iterable[IniFile], matches: Callable[[IniFile], bool]) -> str:
    """The names of those that match, of many only the first, or an empty text."""
    return _some([ini.name for ini in inis if matches(ini)])


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _accounts(survey: Survey) -> Iterator[Remark]:
    group = survey.settings.socket_group
    nginx = survey.nginx.user if survey.nginx and survey.nginx.user != "root" else ""
    others = [name for name in survey.members if name not in (nginx, "root")]
    if nginx and others:
        yield _open(
            f"{_some(others)} may connect to the sockets of all apps, as a member of {group},"
            " the group of nginx",
            f"gpasswd -d USER {group}, or give the user another primary group",
        )
    if nginx and nginx not in survey.members:
        yield _open(
            f"nginx's user {nginx} is not in {group}, the group of the sockets: it cannot connect",
            "set socket-group to a group of nginx's",
        )
    if survey.operators:
        group = survey.settings.control_group
        yield _note(f"members of {group} may do all that emperorctl can: {_some(survey.operators)}",
                    f"gpasswd -d USER {group}, if one of them should not")  # fmt: skip


def _nginx(survey: Survey) -> Iterator[Remark]:
    nginx = survey.nginx
    if nginx is None:
        return
    if nginx.refusal:
        yield _open(f"nginx refuses its configuration: {nginx.refusal}", "nginx -t says where")
        return
    if nginx.user == "root":
        yield _open(
            "nginx's workers run as root, to which the mode of a socket does not apply: a request"
            " reaches an app that does not accept, and hangs",
            "write `user www-data;` into nginx.conf",
        )
    if believed := [address for address in nginx.trusted if _is_anybodys(address)]:
        yield _open(
            f"nginx believes the X-Forwarded-For of {_some(believed)}, which every app can connect"
            " from",
            "name only load balancers in emperord/balancers.conf",
        )
    if nginx.shows_console:
        yield _open(
            "nginx passes everybody to the console, where visitors are administrators",
            "have that server ask who visits, by auth_basic or ssl_verify_client, without `satisfy"
            " any`",
        )
    asks, starts = nginx.asks_seconds, survey.settings.start_timeout
    if survey.is_balancer:
        return
    if asks is None:
        yield _note(
            "nginx does not ask emperord for apps that sleep",
            "use the shipped backend.conf, or emperord/journey.conf in a server block",
        )
    elif asks <= starts:
        yield _open(
            f"nginx waits {format_duration(asks)} for an app, which may take"
            f" {format_duration(starts)} to start: its visitors get 504",
            "raise proxy_read_timeout of @fallback, or lower start-timeout",
        )
    elif inis := _names(survey.inis, lambda ini: asks <= (ini.start_timeout or 0)):
        yield _open(
            f"nginx waits {format_duration(asks)} for an app, and its start-timeout is no shorter"
            f" in {inis}: its visitors get 504",
            "raise proxy_read_timeout of @fallback, or lower start-timeout there",
        )


def _is_anybodys(address: str) -> bool:
    """Whether every app of this machine has an address of these."""
    try:
        network = ip_network(address, strict=False)
    except ValueError:
        return address == "unix:"
    return network.is_loopback or network.prefixlen == 0


def _unmet(expected: Iterable[Expected], values: Iterable[Value], form: str) -> Iterator[Remark]:
    texts = {value.name: value.text for value in values}
    for each in expected:
        text = texts.get(each.name)
        if text is not None and not each.is_met(text):
            said = form.format(name=each.name, text=text or "empty", why=each.why)
            yield Remark(each.weight, said, each.cure)


def _unit(survey: Survey) -> Iterator[Remark]:
    yield from _unmet(OF_UNIT, survey.unit, "emperord.service has {name}={text}: {why}")
    form = "emperord-apps.service has {name}={text}: {why}"
    yield from _unmet(OF_APPS_UNIT, survey.apps_unit, form)
    dropped = next((value.text for value in survey.unit if value.name == "DropInPaths"), "")
    if dropped:
        yield _note(f"emperord.service is changed by {_some(dropped.split())}",
                    "systemctl cat emperord shows the whole")  # fmt: skip


def _service(survey: Survey) -> Iterator[Remark]:
    service = survey.service
    if survey.is_balancer:
        return
    if service is None:
        yield _open(
            "emperord does not answer, or lets you not ask: apps that sleep do not start",
            "systemctl start emperord, or run this as root",
        )
        return
    if service.version != survey.version:
        yield _note(
            f"emperord {service.version} runs, and {survey.version} is installed",
            "systemctl reload emperord",
        )
    wanted = len(survey.inis) + _SPARE_FILES
    if service.open_files < wanted:
        yield _open(
            f"emperord may have {service.open_files} open files, and {len(survey.inis)} inis need"
            f" {wanted}",
            f"set LimitNOFILE={2 * wanted} with `systemctl edit emperord`",
        )
    if service.fleet_problem:
        yield _open(
            service.fleet_problem, "mend that, or the file that registry-config names; then"
            " systemctl reload emperord"
        )  # fmt: skip


def _agent(survey: Survey) -> Iterator[Remark]:
    if survey.agent and not survey.agent.is_active:
        yield _open(
            "emperord-balancer does not run: nginx keeps the list of backends that it has",
            "`journalctl --unit emperord-balancer` says why; then systemctl restart"
            " emperord-balancer",
        )


def _machine(survey: Survey) -> Iterator[Remark]:
    version = survey.uwsgi_version
    if not version:
        yield _open("uWSGI does not run", "set uwsgi-binary, or install emperord anew")
    elif tuple(int(part) for part in re.findall(r"\d+", version)[:3]) < _OLDEST_UWSGI:
        yield _open(
            f"uWSGI is {version}, which emperord is not written for", "install 2.0.26 or newer"
        )
    elif not survey.has_python:
        yield _note(
            "uWSGI has no plugin for Python built in, so each ini has to load one",
            "write `plugins = python3` into the file of vassal-defaults, or use the uWSGI that"
            " comes with emperord",
        )
    yield from _controllers(survey)
    backlog = survey.settings.backlog
    somaxconn = next((v.text for v in survey.sysctls if v.name == "net.core.somaxconn"), "")
    if somaxconn.isdecimal() and int(somaxconn) < backlog:
        yield _note(
            f"net.core.somaxconn is {somaxconn}, so no socket queues the {backlog} connections"
            " of the setting backlog",
            f"sysctl -w net.core.somaxconn={backlog}",
        )
    oom_score = survey.nginx_oom_score
    if oom_score is not None and oom_score >= 0 and not survey.is_balancer:
        yield _open(
            "the kernel may end nginx for the memory of an app",
            "systemctl restart nginx; if that does not help, set OOMScoreAdjust=-500 with"
            " `systemctl edit nginx`",
        )
    if survey.swap_bytes == 0:
        yield _note("there is no swap: what sleeping processes do not use stays in memory",
                    "add swap, or zram")  # fmt: skip


def _disks(survey: Survey) -> Iterator[Remark]:
    settings = survey.settings
    for ability, weight, cost, place in (
        (Ability.APPEND_ONLY, Weight.OPEN,
         "an app can erase, stretch and rewrite its log", f"log-dir {settings.log_dir}"),
        (Ability.MARKS, Weight.NOTE,
         "no tenant can read the log of its app", f"log-dir {settings.log_dir}"),
        (Ability.ACCESS_LISTS, Weight.NOTE,
         "the copy of an ini belongs to the user of its app", f"run-dir {settings.run_dir}"),
    ):  # fmt: skip
        if ability in survey.lacking:
            yield Remark(
                weight, f"{cost}: {place} has no {ability.value}",
                "use a file system with these, such as ext4 or xfs, with all rights of root",
            )  # fmt: skip


def _controllers(survey: Survey) -> Iterator[Remark]:
    for name, (weight, cost) in _COSTS.items():
        if name not in survey.controllers:
            yield Remark(
                weight,
                f"the control groups of apps have no controller {name}: {cost}",
                f"boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1) and without"
                f" cgroup_disable={name}, or let a container write its control groups",
            )
    can_mark = "cpu" in survey.controllers
    if survey.settings.cpu_yield and survey.cannot_yield and can_mark:
        yield _note(
            f"no tenant that takes all of the CPU yields it to others: {survey.cannot_yield}",
            "run Linux 5.15 or later, and boot it with psi=1 and cgroup v2",
        )
