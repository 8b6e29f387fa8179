"""Cannot be imported, and leaves behind a process in a session of its own, whose pid goes to the
file that PID names: it makes the listener block for all who hold it, and takes what is pending."""

import os
import socket
from contextlib import suppress

has_escaped, escaped = os.pipe()
if os.fork() == 0:
    os.setsid()
    with open(os.environ["PID"], "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    os.write(escaped, b"!")
    listener = socket.socket(fileno=3)
    taken = []
    while True:
        listener.setblocking(True)
        listener.settimeout(0.001)
        with suppress(OSError):
            taken.append(listener.accept())
        listener.setblocking(True)
# Before that the end of its group is its own.
os.read(has_escaped, 1)
raise ImportError("it only ever wanted the socket")
