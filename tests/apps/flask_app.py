"""A Flask app."""

from flask import Flask

application = Flask(__name__)


@application.route("/")
def home() -> str:
    """The whole of it."""
    return "hello from flask"
