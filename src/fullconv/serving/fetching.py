"""Images of Label Studio, from the hosts that the command line names and from no other."""

from __future__ import annotations

import functools
import http.client
import ipaddress
import math
import socket
import ssl
import time
from collections.abc import Sequence
from urllib.parse import SplitResult, urljoin, urlsplit

from fullconv.errors import UsageError
from fullconv.serving.limits import Limits
from fullconv.serving.problems import Problem
from fullconv.serving.tokens import TOKEN, Origin, Tokens

REDIRECTS = 3
SECONDS = 10.0
"""Of one step: connecting, or a block of bytes."""
PORTS = {"http": 80, "https": 443}


class Fetcher:
    """Fetches from a few origins (scheme, host and port).

    A redirect is followed only to one of them. The address of a host is looked up once for each request, and that
    address is connected to; it has to be of the kind (public, private, this machine) that the host had first, so that
    a name cannot come to mean a machine behind the firewall later. Link-local addresses, where clouds keep their
    secrets, are never asked.

    Raises:
        UsageError: what was named is no ``http://host`` or ``https://host:port``.
    """

    def __init__(self, named: Sequence[str], limits: Limits) -> None:
        self.limits, self.origins = limits, [_named(one) for one in named]
        self.tokens = Tokens(self.origins[0] if named else None)
        self.first = named[0].rstrip("/") + "/" if named else ""
        self._kinds: dict[str, str] = {}

    def get(self, address: str, until: float = math.inf) -> bytes:
        """The bytes behind an address, or a path of the first host, ``until`` that moment of ``time.monotonic``.

        Raises:
            Problem: 422, an address that is not asked; 413, too many bytes; 502, no answer.
        """
        until = min(until, time.monotonic() + self.limits.timeout)
        url = _joined(self.first, address)
        for _ in range(1 + REDIRECTS):
            parts, origin = self.allowed(url)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = self.tokens.headers(origin, functools.partial(self._post, origin, until))
            status, location, content = self._ask("GET", origin, path, {**headers, "Accept": "*/*"}, b"", until)
            if status not in (301, 302, 303, 307, 308):
                if status != 200:
                    why = f": set {TOKEN} to a token of that Label Studio" if status in (401, 403) else ""
                    raise Problem(502, f"{origin[1]} answered {status} for {parts.path[:200]}{why}")
                return content
            url = _joined(url, location)
        raise Problem(422, f"{address[:200]}: more than {REDIRECTS} redirects")

    def allowed(self, url: str) -> tuple[SplitResult, Origin]:
        """An address in parts, if it is one that may be asked.

        Raises:
            Problem: 422, it is not.
        """
        try:
            parts = urlsplit(url)
            origin = _origin(parts)
        except ValueError:
            origin = None
        if origin is None or origin not in self.origins or parts.username is not None or parts.password is not None:
            raise Problem(
                422, f"{url[:200]}: not fetched, its host is none of those that --label-studio names "
                f"({', '.join(f'{s}://{h}:{p}' for s, h, p in self.origins)})",
            )  # fmt: skip
        return parts, origin

    def _post(self, origin: Origin, until: float, path: str, body: bytes) -> tuple[int, bytes]:
        status, _, content = self._ask("POST", origin, path, {"Content-Type": "application/json"}, body, until)
        return status, content

    def _ask(
        self, method: str, origin: Origin, path: str, headers: dict[str, str], body: bytes, until: float
    ) -> tuple[int, str, bytes]:
        scheme, host, port = origin
        connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
        try:
            connection.sock = socket.create_connection((self._address(host, port), port), SECONDS)
            if scheme == "https":
                connection.sock = ssl.create_default_context().wrap_socket(connection.sock, server_hostname=host)
            connection.request(method, path, body or None, headers)
            with connection.getresponse() as reply:
                content = bytearray()
                while block := reply.read(1 << 16):
                    content += block
                    if len(content) > self.limits.bytes:
                        raise Problem(413, f"{path[:200]}: more than {self.limits.megabytes:g} MB")
                    if time.monotonic() > until:
                        raise TimeoutError("it takes too long")
                return reply.status, reply.headers.get("Location", ""), bytes(content)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Problem(502, f"{host}:{port} does not answer ({error})") from error
        finally:
            connection.close()

    def _address(self, host: str, port: int) -> str:
        found = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
        kind = kind_of(found)
        if self._kinds.setdefault(host, kind) != kind or kind == "refused":
            raise Problem(422, f"{host} is now {found}, a {kind} address; not asked")
        return found


def _joined(base: str, address: str) -> str:
    """An address as seen from another; itself where it is none, which is then refused."""
    try:
        return urljoin(base, address)
    except ValueError:
        return address


def kind_of(address: str) -> str:
    """Whose address it is: ``public``, ``private``, ``own`` or ``refused``."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped if mapped is not None else found
    if found.is_loopback:
        return "own"
    if found.is_link_local or found.is_multicast or found.is_unspecified or found.is_reserved:
        return "refused"
    return "private" if found.is_private else "public"


def _origin(parts: SplitResult) -> Origin | None:
    if parts.scheme not in PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme]


def _named(text: str) -> Origin:
    try:
        parts = urlsplit(text)
        origin = _origin(parts)
    except ValueError:
        origin = None
    if origin is None or parts.path.strip("/") or parts.query or "@" in parts.netloc:
        raise UsageError(f"--label-studio {text}: give the address that Label Studio has, as http://localhost:8080")
    return origin
