"""Puts the parts of the notices together, and says what is known of a domain."""

import asyncio
import os
import random
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import partial

from emperor.linux.groups import ControlGroups
from emperor.linux.state_dir import named_state_dir, state_dir
from emperor.model.lifecycle import State
from emperor.model.ports import Gate
from emperor.model.refusal import Refusal
from emperor.model.settings import Settings
from emperor.notices.channel import Channel, ChannelPorts, Count
from emperor.notices.kept import KeptNotices
from emperor.notices.limits_and_disks import LimitsAndDisks, Reached
from emperor.notices.notices import IniStatus, Notices
from emperor.notices.senders import senders_of
from emperor.supervisor.vassals import Vassals
from emperor.supervisor.versions import why_fallen_back
from emperor.uwsgi.bounds import Bounds

_BOOTING = frozenset({State.STARTING, State.RELOADING})


def channels_of(
    settings: Settings, bounds: Bounds, gate: Gate, tasks: asyncio.TaskGroup, count: Count
) -> list[Channel]:
    """The channels of a daemon's notices; `count` counts what was sent, failed and dropped."""
    ports = ChannelPorts(gate, tasks, random.random, partial(datetime.now, UTC))
    return [Channel(sender, ports, count) for sender in senders_of(settings, bounds)]


def notices_of(
    settings: Settings, channels: Collection[Channel], ini_status: Callable[[str], IniStatus]
) -> Notices:
    """The notices of a daemon. `ini_status` tells what is known of a domain."""
    kept = KeptNotices(state_dir(os.environ, settings.run_dir))
    return Notices(channels, kept, ini_status, asyncio.get_running_loop())


def limits_and_disks_of(
    settings: Settings, notices: Notices, groups: ControlGroups, reached: Reached
) -> LimitsAndDisks:
    """Watches the file systems that the daemon writes to."""
    kept = named_state_dir(os.environ)
    folders = [settings.log_dir, settings.run_dir, *([kept] if kept else [])]
    return LimitsAndDisks(notices, groups, reached, folders)


def ini_status_of(vassals: Vassals, refused: Mapping[str, Refusal], domain: str) -> IniStatus:
    """What is known of a domain now."""
    if refusal := refused.get(domain):
        return IniStatus(refusal.message, refusal.owner, exists=True)
    vassal = vassals.get(domain)
    if vassal is None or vassal.state is State.REMOVED:
        return IniStatus(None, vassal.spec.owner if vassal else None, exists=False)
    return IniStatus(
        vassal.ini_error or why_fallen_back(vassal),
        vassal.spec.owner,
        exists=True,
        fell_back=vassal.failed is not None,
        is_booting=vassal.state in _BOOTING,
    )
