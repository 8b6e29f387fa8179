"""What each option of uWSGI's own Emperor is here. docs/from-uwsgi.md is made from this table.

The options are those of uWSGI 2.0.31 (core/uwsgi.c) and the further ones of uWSGI 2.1.
"""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """MAPPED: emperord has it by another name. ALWAYS: emperord always does so. VASSAL: an option
    of the vassal's own, which works in its ini. NONE: emperord has nothing like it."""

    MAPPED = "mapped"
    ALWAYS = "always"
    VASSAL = "in the vassal's ini"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class EmperorOption:
    """Options that are explained together. `here` is a sentence, or part of one."""

    names: tuple[str, ...]
    kind: Kind
    here: str


def _row(names: str, kind: Kind, here: str) -> EmperorOption:
    return EmperorOption(tuple(names.split()), kind, here)


_HOOKS = "use `hook-asap`, `exec-asap` and the like in the ini, or in `vassal-defaults`"

EMPEROR_OPTIONS = (
    _row("emperor", Kind.MAPPED, "`vassals-dir`: one folder of files DOMAIN.ini"),
    _row("early-emperor", Kind.ALWAYS, "emperord is a process of its own"),
    _row("emperor-freq", Kind.NONE,
         "inotify reports a change at once; a rescan follows each minute"),
    _row("emperor-extra-extension emperor-extra-ext", Kind.NONE, "a vassal is a file DOMAIN.ini"),
    _row("emperor-magic-exec", Kind.NONE,
         "an ini is never run; `provision-command` makes inis on demand"),
    _row("emperor-nofollow", Kind.NONE,
         "a link counts as its target, if only root and the owner of the target can change it"),
    _row("emperor-tyrant", Kind.ALWAYS,
         "an ini of another user than root runs as its owner; root's names a `uid`"),
    _row("emperor-tyrant-nofollow", Kind.NONE, "the owner of the target of a link counts"),
    _row("emperor-on-demand-directory emperor-on-demand-dir", Kind.MAPPED,
         "`sockets-dir`: each vassal listens on DOMAIN/socket there, and starts on demand"),
    _row("emperor-on-demand-extension emperor-on-demand-ext emperor-on-demand-exec", Kind.MAPPED,
         "`socket` in the ini, or none: every vassal starts on demand"),
    _row("emperor-throttle", Kind.MAPPED, "`throttle-first`, a duration such as 1s"),
    _row("emperor-max-throttle", Kind.MAPPED, "`throttle-max`, a duration such as 3m"),
    _row("emperor-no-blacklist", Kind.NONE,
         "a visitor starts a failed app again, after `throttle-max` at most"),
    _row("emperor-curse-tolerance", Kind.MAPPED, "`start-timeout`, a duration such as 60s"),
    _row("emperor-required-heartbeat", Kind.NONE,
         "nothing is asked of an idle app; `harakiri` ends a request that hangs"),
    _row("heartbeat", Kind.VASSAL, "it is sent, and nobody waits for it"),
    _row("emperor-graceful-shutdown", Kind.ALWAYS,
         "requests are finished, for `stop-timeout` at most"),
    _row("emperor-stats emperor-stats-server", Kind.MAPPED,
         "`emperorctl status --json`, and /metrics on control.sock"),
    _row("emperor-pidfile", Kind.NONE, "`systemctl show -p MainPID emperord` tells the pid"),
    _row("emperor-procname", Kind.NONE, "its name is emperord"),
    _row("emperor-wrapper", Kind.MAPPED, "`uwsgi-binary`, for one vassal in `[emperor]`"),
    _row("emperor-wrapper-override emperor-wrapper-fallback", Kind.MAPPED,
         "`pythons`, of which an ini chooses one by `python` in `[emperor]`"),
    _row("emperor-use-clone", Kind.NONE, "`unshare` in the ini does so"),
    _row("emperor-cap vassals-cap vassal-cap", Kind.NONE,
         "`cap` in an ini, or CapabilityBoundingSet= of the unit, limits capabilities"),
    _row("emperor-broodlord vassal-sos vassal-sos-backlog", Kind.NONE,
         "an app grows by `cheaper`, within its own processes"),
    _row("emperor-proxy-socket", Kind.NONE, "every vassal is a process of emperord's own"),
    _row("vassals-include-before vassals-inherit-before", Kind.MAPPED,
         "`vassal-defaults`, a file that uWSGI reads before each ini"),
    _row("vassals-include vassals-inherit", Kind.MAPPED,
         "`vassal-defaults`; it is read before the ini, which therefore wins"),
    _row("vassals-set vassal-set", Kind.MAPPED, "a line in the file of `vassal-defaults`"),
    _row("vassals-start-hook vassals-stop-hook", Kind.NONE,
         f"`emperorctl events` tells of starts and stops; to run something, {_HOOKS}"),
    _row("hook-emperor-start", Kind.NONE, "ExecStartPre= of the unit runs a command"),
    _row("hook-emperor-stop hook-emperor-reload hook-emperor-lost", Kind.VASSAL,
         "it runs when emperord stops the vassal, or is lost; a reload stops the old process"),
    _row("hook-as-vassal exec-as-vassal call-as-vassal call-as-vassal1 call-as-vassal3",
         Kind.NONE, _HOOKS),
    _row("mount-as-vassal umount-as-vassal", Kind.NONE, _HOOKS),
    _row("hook-as-emperor exec-as-emperor call-as-emperor call-as-emperor1 call-as-emperor2 "
         "call-as-emperor4 mount-as-emperor umount-as-emperor", Kind.NONE,
         "emperord runs nothing on behalf of an ini but the vassal"),
    # Of uWSGI 2.1.
    _row("spawn-asap", Kind.MAPPED, "`always = true` in `[emperor]` keeps an app awake"),
    _row("emperor-subreaper", Kind.NONE, "what outlives an app ends with the service"),
    _row("emperor-use-fork-server vassal-fork-base emperor-fork-server-attr", Kind.NONE,
         "each vassal is a uWSGI of its own"),
    _row("emperor-wrapper-attr", Kind.MAPPED, "`uwsgi-binary` and `python` in `[emperor]`"),
    _row("emperor-uid-attr emperor-gid-attr", Kind.MAPPED, "`uid` and `gid` in `[emperor]`"),
    _row("emperor-chdir-attr", Kind.NONE, "`chdir` in the ini does so"),
    _row("emperor-on-demand-attr", Kind.MAPPED, "`socket` in the ini"),
    _row("emperor-collect-attribute emperor-collect-attr", Kind.NONE,
         "emperord reads the whole section `[emperor]`"),
    _row("emperor-force-config-pipe", Kind.NONE, "uWSGI reads the ini itself"),
    _row("emperor-command-socket", Kind.MAPPED, "control.sock, and `emperorctl`"),
)  # fmt: skip

EXPLAINED = {name: option for option in EMPEROR_OPTIONS for name in option.names}


def plain(option: EmperorOption) -> str:
    """The sentence about it for a terminal."""
    return option.here.replace("`", "")
