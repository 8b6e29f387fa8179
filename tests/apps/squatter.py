"""Cannot be imported, and leaves behind a process in a session of its own, whose pid goes to the
file that PID names: it makes the listener block for all who hold it, and takes what is pending."""

import os
import socket
from contextlib import suppress

if os.fork() == 0:
    os.setsid()
    with open(os.environ["PID"], "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    listener = socket.socket(fileno=3)
    taken = []
    while True:
        listener.setblocking(True)
        listener.settimeout(0.001)
        with suppress(OSError):
            taken.append(listener.accept())
        listener.setblocking(True)
raise ImportError("it only ever wanted the socket")
