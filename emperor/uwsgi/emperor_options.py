"""What each option of uWSGI's own Emperor is here. docs/from-uwsgi.md is made from this table.

The options are those of uWSGI 2.0.31 (core/uwsgi.c) and the further ones of uWSGI 2.1.
"""

from dataclasses import dataclass
from enum import Enum


class Support(Enum):
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
    support: Support
    here: str


def _row(names: str, support: Support, here: str) -> EmperorOption:
    return EmperorOption(tuple(names.split()), support, here)


_HOOKS = "use `hook-asap`, `exec-asap` and the like in the ini, or in `vassal-defaults`"

EMPEROR_OPTIONS = (
    _row("emperor", Support.MAPPED, "`vassals-dir`: one folder of files DOMAIN.ini"),
    _row("early-emperor", Support.ALWAYS, "emperord is a process of its own"),
    _row("emperor-freq", Support.NONE,
         "inotify reports a change at once; a rescan follows each minute"),
    _row("emperor-extra-extension emperor-extra-ext", Support.NONE,
         "a vassal is a file DOMAIN.ini"),
    _row("emperor-magic-exec", Support.NONE,
         "an ini is never run; `provision-command` makes inis on demand"),
    _row("emperor-nofollow", Support.NONE,
         "a link counts as its target, if only root and the owner of the target can change it"),
    _row("emperor-tyrant", Support.ALWAYS,
         "an ini of another user than root runs as its owner; root's names a `uid`"),
    _row("emperor-tyrant-nofollow", Support.NONE, "the owner of the target of a link counts"),
    _row("emperor-on-demand-directory emperor-on-demand-dir", Support.MAPPED,
         "`sockets-dir`: each vassal listens on DOMAIN/socket there, and starts on demand"),
    _row("emperor-on-demand-extension emperor-on-demand-ext emperor-on-demand-exec", Support.MAPPED,
         "`socket` in the ini, or none: every vassal starts on demand"),
    _row("emperor-throttle", Support.MAPPED, "`throttle-first`, a duration such as 1s"),
    _row("emperor-max-throttle", Support.MAPPED, "`throttle-max`, a duration such as 3m"),
    _row("emperor-no-blacklist", Support.NONE,
         "a visitor starts a failed app again, after `throttle-max` at most"),
    _row("emperor-curse-tolerance", Support.MAPPED, "`start-timeout`, a duration such as 60s"),
    _row("emperor-required-heartbeat", Support.NONE,
         "nothing is asked of an idle app; `harakiri` ends a request that hangs"),
    _row("heartbeat", Support.VASSAL, "it is sent, and nobody waits for it"),
    _row("emperor-graceful-shutdown", Support.ALWAYS,
         "requests are finished, for `stop-timeout` at most"),
    _row("emperor-stats emperor-stats-server", Support.MAPPED,
         "`emperorctl status --json`, and /metrics on control.sock"),
    _row("emperor-pidfile", Support.NONE, "`systemctl show -p MainPID emperord` tells the pid"),
    _row("emperor-procname", Support.NONE, "its name is emperord"),
    _row("emperor-wrapper", Support.MAPPED, "`uwsgi-binary`, for one vassal in `[emperor]`"),
    _row("emperor-wrapper-override emperor-wrapper-fallback", Support.MAPPED,
         "`pythons`, of which an ini chooses one by `python` in `[emperor]`"),
    _row("emperor-use-clone", Support.NONE, "`unshare` in the ini does so"),
    _row("emperor-cap vassals-cap vassal-cap", Support.NONE,
         "`cap` in an ini, or CapabilityBoundingSet= of the unit, limits capabilities"),
    _row("emperor-broodlord vassal-sos vassal-sos-backlog", Support.NONE,
         "an app grows by `cheaper`, within its own processes"),
    _row("emperor-proxy-socket", Support.NONE, "every vassal is a process of emperord's own"),
    _row("vassals-include-before vassals-inherit-before", Support.MAPPED,
         "`vassal-defaults`, a file that uWSGI reads before each ini"),
    _row("vassals-include vassals-inherit", Support.MAPPED,
         "`vassal-defaults`; it is read before the ini, which therefore wins"),
    _row("vassals-set vassal-set", Support.MAPPED, "a line in the file of `vassal-defaults`"),
    _row("vassals-start-hook vassals-stop-hook", Support.NONE,
         f"`emperorctl events` tells of starts and stops; to run something, {_HOOKS}"),
    _row("hook-emperor-start", Support.NONE, "ExecStartPre= of the unit runs a command"),
    _row("hook-emperor-stop hook-emperor-reload hook-emperor-lost", Support.VASSAL,
         "it runs when emperord stops the vassal, or is lost; a reload stops the old process"),
    _row("hook-as-vassal exec-as-vassal call-as-vassal call-as-vassal1 call-as-vassal3",
         Support.NONE, _HOOKS),
    _row("mount-as-vassal umount-as-vassal", Support.NONE, _HOOKS),
    _row("hook-as-emperor exec-as-emperor call-as-emperor call-as-emperor1 call-as-emperor2 "
         "call-as-emperor4 mount-as-emperor umount-as-emperor", Support.NONE,
         "emperord runs nothing on behalf of an ini but the vassal"),
    # Of uWSGI 2.1.
    _row("spawn-asap", Support.MAPPED, "`always = true` in `[emperor]` keeps an app awake"),
    _row("emperor-subreaper", Support.NONE, "what outlives an app ends with the service"),
    _row("emperor-use-fork-server vassal-fork-base emperor-fork-server-attr", Support.NONE,
         "each vassal is a uWSGI of its own"),
    _row("emperor-wrapper-attr", Support.MAPPED, "`uwsgi-binary` and `python` in `[emperor]`"),
    _row("emperor-uid-attr emperor-gid-attr", Support.MAPPED, "`uid` and `gid` in `[emperor]`"),
    _row("emperor-chdir-attr", Support.NONE, "`chdir` in the ini does so"),
    _row("emperor-on-demand-attr", Support.MAPPED, "`socket` in the ini"),
    _row("emperor-collect-attribute emperor-collect-attr", Support.NONE,
         "emperord reads the whole section `[emperor]`"),
    _row("emperor-force-config-pipe", Support.NONE, "uWSGI reads the ini itself"),
    _row("emperor-command-socket", Support.MAPPED, "control.sock, and `emperorctl`"),
)  # fmt: skip

EXPLAINED = {name: option for option in EMPEROR_OPTIONS for name in option.names}


def plain(option: EmperorOption) -> str:
    """The sentence about it for a terminal."""
    return option.here.replace("`", "")
