"""Cannot be imported, and leaves behind a process in a session of its own, whose pid goes to the
file that PID names: it makes the listener block for all who hold it, and takes what is pending. It
drops all else that it had of the app, so that nothing tells whose it is."""

import os

SQUATTER = """
import socket
listener = socket.socket(fileno=3)
taken = []
while True:
    listener.setblocking(True)
    listener.settimeout(0.001)
    try:
        taken.append(listener.accept())
    except OSError:
        pass
    listener.setblocking(True)
"""

has_escaped, escaped = os.pipe()
if os.fork() == 0:
    os.setsid()
    with open(os.environ["PID"], "w", encoding="ascii") as file:
        file.write(str(os.getpid()))
    os.closerange(4, escaped)
    os.set_inheritable(3, True)
    os.execve("/usr/bin/python3", ["python3", "-I", "-c", SQUATTER], {})
os.close(escaped)
# The exec closes the pipe. Before that its environment tells whose it is.
os.read(has_escaped, 1)
raise ImportError("it only ever wanted the socket")
