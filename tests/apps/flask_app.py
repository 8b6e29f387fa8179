"""A Flask app."""

from flask import Flask, abort, request

application = Flask(__name__)


@application.route("/")
def home() -> str:
    """Answer each request."""
    return "hello from flask"


@application.post("/length")
def length() -> str:
    """Read the body."""
    return str(len(request.get_data()))


@application.post("/refuse")
def refuse() -> str:
    """Answer before the body is read."""
    abort(401)
