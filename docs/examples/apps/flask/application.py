"""A Flask app."""

import os

from flask import Flask, Response, jsonify, request

application = Flask(__name__)


@application.get("/")
def hello() -> str:
    """The front page."""
    return f"<!doctype html><title>Flask</title><h1>Hello from Flask</h1><p>process {os.getpid()}"


@application.post("/echo")
def echo() -> Response:
    """The length of the posted data, and the client's address."""
    return jsonify(length=len(request.get_data()), client=request.remote_addr)
