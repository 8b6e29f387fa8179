"""The orders to a vassal, as the control API names them."""

from enum import Enum


class Action(Enum):
    """An order to a vassal."""

    START = "start"
    SLEEP = "sleep"
    RESTART = "restart"
    RESTART_FRESH = "restart-fresh"
    RELOAD = "reload"
    MAINTENANCE_ON = "maintenance-on"
    MAINTENANCE_OFF = "maintenance-off"
