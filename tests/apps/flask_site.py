"""A Flask site with sessions, server-sent events, uploads and a door for members."""

import hashlib
from collections.abc import Iterator

from flask import Flask, Response, abort, jsonify, request, session

application = Flask(__name__)
application.secret_key = "not secret: the tests throw the sessions away"


@application.get("/visits")
def visits() -> str:
    """How often this visitor has been here."""
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])


@application.get("/events")
def events() -> Response:
    """Two events. The second one follows when somebody opens the FIFO `gate` for writing."""
    gate = request.args["gate"]

    def tell() -> Iterator[str]:
        yield "data: first\n\n"
        open(gate, "rb").close()
        yield "data: second\n\n"

    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-cache"}
    return Response(tell(), mimetype="text/event-stream", headers=headers)


@application.post("/upload")
def upload() -> Response:
    """The names and checksums of the uploaded files."""
    files = {name: hashlib.sha256(file.read()).hexdigest() for name, file in request.files.items()}
    return jsonify(files)


@application.post("/members")
def members() -> Response:
    """Nobody is a member, which needs no look at the body."""
    abort(401)


@application.post("/raw")
def raw() -> str:
    """The checksum of the body."""
    return hashlib.sha256(request.get_data()).hexdigest()
