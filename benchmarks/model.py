"""The tests' model endpoint in a process of its own: python -m benchmarks.model LATENCY_SECONDS."""

import signal
import sys

from tests.peers import http, llm


def main() -> None:
    """Print the base URL, and answer until SIGTERM."""
    with http.serve(llm.endpoint(llm.after(float(sys.argv[1])))) as peer:
        print(f"{peer.url}/v1", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
