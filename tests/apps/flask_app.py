"""A Flask app."""

from flask import Flask

application = Flask(__name__)


@application.route("/")
def home() -> str:
    """Answer each request."""
    return "hello from flask"
