"""The least a web server can do with a delivery: a Flask view that answers 200."""

from flask import Flask
from flask.typing import ResponseReturnValue

app = Flask(__name__)


@app.post("/webhooks/standard")
def receive() -> ResponseReturnValue:
    """Acknowledge, and nothing else."""
    return {"status": "accepted"}
