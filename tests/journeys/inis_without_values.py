"""Inis with a variable or a placeholder that has no value. See inis.py for the words in capitals.

uWSGI leaves such a reference as it is written. In a command the shell takes $(NAME) for a command.
"""

from tests.journeys.ini_case import APP, Case, bad, good

_NONE = "$(NO_SUCH) has no value, and the shell finds no program NO_SUCH, so the app does not start"
_EXECS = (
    "exec-asap", "exec-pre-jail", "exec-in-jail", "exec-as-root", "exec-as-user", "exec-pre-app",
    "exec-post-app",
)  # fmt: skip
_HOOKS = ("hook-asap", "hook-pre-jail", "hook-in-jail", "hook-as-root", "hook-as-user")
_COMMANDS = (
    *(bad(f"unset-{key}", f"{APP}{key} = $(NO_SUCH)\n", _NONE) for key in _EXECS),
    *(bad(f"unset-{key}", f"{APP}{key} = exec:$(NO_SUCH)\n", _NONE) for key in _HOOKS),
    bad(
        "unset-argument",
        f"{APP}exec-asap = $(NO_SUCH) SITE/jobs-done.py\n",
        "and root may not run SITE/jobs-d",
    ),
    bad("unset-folder", f"{APP}exec-asap = $(NO_SUCH)/good\n", "is no program /good"),
    bad("unset-and", f"{APP}exec-asap = true && SITE/$(NO_SUCH)/no\n", "no program SITE//no"),
    bad("unset-placeholder", f"{APP}exec-asap = echo %(no-such)\n", "the shell cannot read that"),
    good("unset-quoted", f'{APP}exec-asap = echo "%(no-such)"\n'),
    good("unset-echo", f"{APP}exec-asap = echo $(NO_SUCH)\n"),
    good("unset-text", f"{APP}exec-asap = echo '$(NO_SUCH)'\n"),
    good("unset-program", f"{APP}exec-asap = test -n $(hostname)\n"),
    good("unset-assigned", f"{APP}exec-asap = A=$(NO_SUCH) true\n"),
    good("unset-or", f"{APP}exec-asap = $(NO_SUCH) || true\n"),
    good("unset-around", f"{APP}hook-pre-app = exec:$(NO_SUCH)\n", "so hook-pre-app fails each t"),
    good("unset-cron", f"{APP}cron = 0 3 -1 -1 -1 $(NO_SUCH)/no\n", "so the job fails each time"),
    good("unset-daemon", f"{APP}attach-daemon = $(NO_SUCH)\n", "again and again in vain"),
    bad("unset-mkdir", f"{APP}hook-asap = mkdir:$(NO_SUCH)/a\n", "$(NO_SUCH), so the app does not"),
    bad("unset-cd", f"{APP}hook-as-user = cd:$(NO_SUCH)\n", "$(NO_SUCH), so the app does not sta"),
)
# Other places that uWSGI looks at.
_PLACES = (
    bad("unset-write", f"{APP}file-write = $(NO_SUCH)/a=b\n", "$(NO_SUCH) has no value, so the ap"),
    bad("unset-flock", f"{APP}flock2 = $(NO_SUCH)/a\n", "$(NO_SUCH) has no value, so the app does"),
    bad("unset-spooler", f"{APP}spooler = $(NO_SUCH)/a\n", ":3: error: uWSGI refuses it"),
    bad("unset-metrics", f"{APP}metrics-dir = $(NO_SUCH)/a\n", "$(NO_SUCH) has no value, so the a"),
    bad(
        "unset-envdir", f"{APP}envdir = $(NO_SUCH)/a\n", "$(NO_SUCH) has no value, so the app does"
    ),
    bad(
        "unset-wait", f"{APP}wait-for-file = $(NO_SUCH)/a\n", "$(NO_SUCH) has no value, so uWSGI w"
    ),
    bad(
        "unset-store", f"{APP}cache2 = name=a,items=9,store=$(NO_SUCH)/a\n", "has no value, so the"
    ),
    bad("unset-farm", f"{APP}mule = true\nfarm = $(NO_SUCH)\n", "invalid farm value ($(NO_SUCH)"),
    good("unset-map", f"{APP}static-map = /a=$(NO_SUCH)/a\n", "$(NO_SUCH) has no value, so its fi"),
)

WITHOUT_VALUES: tuple[Case, ...] = (*_COMMANDS, *_PLACES)
