"""An OpenID Connect provider that signs what a test decides: discovery, authorization code with PKCE, keys."""

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from tests.peers import http
from tests.peers.http import Answer, Peer, Request

CLIENT_ID, CLIENT_SECRET = "tickets", "a secret of the provider"


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    """A key, made once for all tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Provider:
    """Vouches for whoever `claims` says; `signed_by` and `algorithm` may be other than those it publishes."""

    claims: dict[str, Any] = field(default_factory=dict)
    signed_by: str = "good"
    algorithm: str = "RS256"
    metadata: dict[str, Any] = field(default_factory=dict)
    url: str = ""
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def answer(self, request: Request) -> Answer:
        path = urlsplit(request.path)
        given = {name: values[0] for name, values in parse_qs(path.query or request.body.decode()).items()}
        match path.path:
            case "/.well-known/openid-configuration":
                return Answer.of(self._metadata())
            case "/authorize":
                return self._authorize(given)
            case "/token":
                return self._token(given, request.headers.get("Authorization", ""))
            case "/keys":
                return Answer.of({"keys": [{**_public("good"), "kid": "1", "use": "sig"}]})
        return Answer(404)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        } | self.metadata  # fmt: skip

    def _authorize(self, given: dict[str, str]) -> Answer:
        assert given["response_type"] == "code"
        assert given["code_challenge_method"] == "S256"
        assert "openid" in given["scope"].split()
        code = f"code-{len(self._codes)}"
        self._codes[code] = given
        back = urlencode({"code": code, "state": given["state"]})
        return Answer(302, headers={"Location": f"{given['redirect_uri']}?{back}"})

    def _token(self, given: dict[str, str], credentials: str) -> Answer:
        asked = self._codes.pop(given["code"], None)
        expected = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if asked is None or credentials != expected or asked["redirect_uri"] != given["redirect_uri"]:
            return Answer.of({"error": "invalid_grant"}, 400)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest()).rstrip(b"=")
        if challenge.decode() != asked["code_challenge"]:
            return Answer.of({"error": "invalid_grant"}, 400)
        return Answer.of({"access_token": "x", "token_type": "Bearer", "id_token": self._id_token(asked["nonce"])})

    def _id_token(self, nonce: str) -> str:
        moment = int(time.time())
        usual = {"iss": self.url, "aud": CLIENT_ID, "sub": "1", "iat": moment, "exp": moment + 300, "nonce": nonce}
        claims = {name: value for name, value in (usual | self.claims).items() if value is not None}
        signing: Any = {"none": None, "HS256": CLIENT_SECRET * 2}.get(self.algorithm, key(self.signed_by))
        return jwt.encode(claims, signing, self.algorithm, headers={"kid": "1"})


def _public(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(key(name).public_key()))
    return found


@contextmanager
def serve() -> Iterator[Provider]:
    """A provider on a free port of 127.0.0.1 until the end of the block."""
    provider = Provider()
    with http.serve(Peer(provider.answer)) as peer:
        provider.url = peer.url
        yield provider
