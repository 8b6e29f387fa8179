"""emperord: settings, wiring, signals, and the order of start and shutdown."""

import asyncio
import logging
import os
import shutil
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click
from aiohttp import web

from emperor import __version__
from emperor.chronicle import Chronicle
from emperor.folder import VassalFolder
from emperor.governor import Governor
from emperor.linux.listeners import UnixListeners
from emperor.linux.lock import AlreadyRunning, RunLock
from emperor.linux.notify import Notifier
from emperor.linux.queues import Queues
from emperor.linux.watch import Changes, FolderWatch
from emperor.model.settings import KEYS, Settings, SettingsError, read_settings
from emperor.provision import Provisioner
from emperor.reporting import Reporter
from emperor.uwsgi.inquiry import Inquiry
from emperor.uwsgi.launcher import UwsgiLauncher
from emperor.web.activation import Activation
from emperor.web.control import Control
from emperor.web.pace import Pace
from emperor.web.server import serve

log = logging.getLogger("emperord")

DEFAULT_CONFIG = "/etc/uwsgi/emperord.ini"
CONTROL_GROUP = "emperor"
