"""The core: one queue of events, one state machine, one place that changes a vassal."""
