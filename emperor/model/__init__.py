"""Decisions and values. Nothing here touches the kernel, the clock, the network or the log."""
