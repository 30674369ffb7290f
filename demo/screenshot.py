"""Take the README's screenshot: python -m demo.screenshot FILE. Needs Chromium on the PATH."""

import subprocess
import sys
import tempfile
from pathlib import Path

from demo import stack
from receiver.clock import now
from receiver.record import people, sign_in
from receiver.record.database import opened


def main(target: Path) -> None:
    """Photograph the overview of a stack that has classified the samples and sent a digest."""
    folder = Path(tempfile.mkdtemp(prefix="ticket-attribution-screenshot-"))
    config, samples = stack.configure(folder), stack.samples()
    process = stack.start(folder, config)
    try:
        stack.push(config, samples)
        stack.watch(config, len(samples))
        stack.send_digest(config)
        with opened(config.database_url) as record, record.write() as session:
            person = people.add(session, "ada@example.com", "Ada", people.ADMIN, now())
            token = sign_in.issue(session, now(), person)
        _photograph(f"{config.url}/sign-in/{token}", target, folder / "browser")
    finally:
        stack.stop(process)


def _photograph(url: str, target: Path, profile: Path) -> None:
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--hide-scrollbars", f"--user-data-dir={profile}", "--window-size=1280,900",
        f"--screenshot={target.resolve()}", url,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
