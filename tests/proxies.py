"""The proxies of deploy/ before a real stack, over TLS: python -m tests.proxies. Needs nginx and caddy installed.

Each at the top of its host and under a path: a person signs in by a form, a helpdesk pushes a signed ticket, a body
that is too large is refused, live events come at once, and who called is known whoever the caller claims to be.
"""

import getpass
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from requests.adapters import HTTPAdapter

from demo import stack
from receiver.db import people, refusals
from receiver.db.database import opened
from receiver.intake import signatures
from receiver.lib import roles, secret_files
from receiver.lib.clock import now
from receiver.lib.passwords import Passwords
from receiver.lib.settings import Settings
from tests.conftest import ADMIN, PASSWORD, ROOT, wait_until

DOCUMENTED, HOST = "tickets.example.com", "localhost"
CALLER, CLAIMED = "127.0.0.2", "198.51.100.66"


class _From(HTTPAdapter):
    """Connects from the address CALLER."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As the base class, with the caller's address."""
        super().init_poolmanager(*args, source_address=(CALLER, 0), **kwargs)


def _certificate(folder: Path) -> Path:
    """A certificate for HOST that signs itself, and its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(hours=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "cert.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "cert.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def _nginx(folder: Path, port: int, backend: int) -> list[str]:
    """deploy/nginx.conf with this machine's ports and certificate; the command that runs it."""
    text = (ROOT / "deploy/nginx.conf").read_text()
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{backend}").replace("listen 443 ssl", f"listen {port} ssl")
    text = text.replace("/etc/ssl/tickets.example.com.pem", str(folder / "cert.pem"))
    text = text.replace("/etc/ssl/tickets.example.com.key", str(folder / "cert.key"))
    text = text.replace(DOCUMENTED, HOST)
    text = text[: text.rindex("server {")]  # Port 80 may be another's.
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Its workers would be another user, who may not write into this folder.
    user = f"user {getpass.getuser()};\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{text}}}\n"
    )
    return ["nginx", "-c", str(folder / "nginx.conf"), "-e", "stderr"]


def _caddy(folder: Path, port: int, backend: int) -> list[str]:
    """deploy/Caddyfile with this machine's ports and certificate; the command that runs it."""
    text = (ROOT / "deploy/Caddyfile").read_text()
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{backend}")
    text = text.replace(f"{DOCUMENTED} {{", f"{HOST}:{port} {{\n\ttls {folder}/cert.pem {folder}/cert.key")
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    with (folder / "proxy.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until(lambda: process.poll() is not None or _listens(port))
            assert process.poll() is None, (folder / "proxy.log").read_text()
            yield
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _check(make: Callable[[Path, int, int], list[str]], path: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), stack.configure(Path(name)).port
        certificate = _certificate(folder)
        public = f"https://{HOST}:{port}{path}"
        known = {"PUBLIC_URL": public, "TRUSTED_PROXIES": "127.0.0.1"}
        config = stack.configure(folder, **known)
        process = stack.start(folder, replace(config, public_url=None), **known)
        try:
            with opened(config.database_url) as db, db.write() as session:
                password = Passwords().hash(PASSWORD)
                people.add(session, ADMIN, "Grace Hopper", roles.ADMIN, now(), password_hash=password)
            with _running(make(folder, port, config.port), folder, port), requests.Session() as browser:
                browser.mount("https://", _From())
                browser.trust_env, browser.verify = False, str(certificate)
                browser.headers["X-Forwarded-For"] = CLAIMED
                _walk(browser, config, public)
        finally:
            stack.stop(process)


def _walk(browser: requests.Session, config: Settings, public: str) -> None:
    """What a person and a helpdesk do."""
    assert browser.get(f"{public}/").url == f"{public}/sign-in"
    _sign_in(browser, public, "guess", 403)
    _is_seen_as_the_caller(config)
    _sign_in(browser, public, PASSWORD, 200)
    page = browser.get(f"{public}/tickets")
    assert (page.status_code, page.url) == (200, f"{public}/tickets")
    assert page.headers["Strict-Transport-Security"]
    script = re.search(r'src="([^"]+\.js[^"]*)"', page.text)
    assert script
    assert browser.get(public.partition("/desk")[0] + script[1]).status_code == 200
    body = json.dumps({"id": "T-1", "short_description": "VPN does not connect"}).encode()
    signed = signatures.sign_standard(secret_files.webhook_secrets(config)[0], "msg_1", int(time.time()), body)
    known = {"Content-Type": "application/json", **signed}
    pushed = browser.post(f"{public}/webhooks/standard", data=body, headers=known)
    assert (pushed.status_code, pushed.json()["accepted"]) == (200, 1)
    large = browser.post(f"{public}/webhooks/standard", data=b"x" * (5 * 2**20 + 1), headers=known)
    assert large.status_code == 413, (large.status_code, large.text[:200], large.headers)
    started = time.monotonic()
    with browser.get(f"{public}/live/overview", stream=True, timeout=20) as events:
        assert events.status_code == 200
        first = next(events.iter_content(64))
    assert first
    assert time.monotonic() - started < 10


def _sign_in(browser: requests.Session, public: str, password: str, status: int) -> None:
    page = browser.get(f"{public}/sign-in").text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token
    answer = browser.post(
        f"{public}/sign-in",
        data={"csrf_token": token[1], "email": ADMIN, "password": password},
        headers={"Referer": f"{public}/sign-in"},
    )
    assert answer.status_code == status, answer.text


def _is_seen_as_the_caller(config: Settings) -> None:
    def last() -> list[str]:
        with opened(config.database_url) as db, db.read() as session:
            return [found.address for found in refusals.recent(session, now())]

    wait_until(last)
    assert last() == [CALLER]


def main() -> None:
    """Try each proxy at the top of its host and under a path."""
    missing = [name for name in ("nginx", "caddy") if shutil.which(name) is None]
    if missing:
        sys.exit(f"Install {' and '.join(missing)} first; on Debian: apt-get install {' '.join(missing)}")
    for make in (_nginx, _caddy):
        for path in ("", "/desk"):
            _check(make, path)
            print(f"{make.__name__.strip('_')} at https://{HOST}{path or '/'}: works", flush=True)


if __name__ == "__main__":
    main()
