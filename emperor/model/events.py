"""The events of a vassal in words, for docs/lifecycle.md and docs/api.md."""

from emperor.model.lifecycle import Event

MEANING: dict[Event, str] = {
    Event.DEMAND: "a connection on the listener, or a hit on the fallback",
    Event.START: "`emperorctl start`: a demand that also pardons",
    Event.RESTART: "`emperorctl restart`: stop, then start",
    Event.REVISED: "the ini changed, or `emperorctl reload`",
    Event.IDLE: "byte 22, `emperorctl sleep`, or an eviction",
    Event.REMOVED: "the ini is gone",
    Event.TURN: "a queued process may boot (`max-starting`, `max-running`)",
    Event.ACCEPTING: "byte 5 of the process that boots",
    Event.DEADLINE: "a process did not boot or stop in time: its group is killed",
    Event.PARDON: "the end of a throttle",
    Event.EXITED: "the lead is dead, and that is no failure",
    Event.ENDED: "the lead ended by an order that is not emperord's: `q`, a signal by hand",
    Event.FAILED: "the lead is dead before it accepted, or soon after",
    Event.SECOND_EXITED: "the predecessor is gone, or the successor died at boot",
    Event.MAINTENANCE_ON: "`emperorctl maintenance DOMAIN on`",
    Event.MAINTENANCE_OFF: "`emperorctl maintenance DOMAIN off`",
}
