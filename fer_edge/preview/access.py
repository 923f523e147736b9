"""Where the preview listens, and who may look."""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import socket
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from fer_edge.errors import UsageError

__all__ = ["DEFAULT_ADDRESS", "TOKEN_VARIABLE", "Address", "Gate", "parse_address"]

DEFAULT_ADDRESS = "127.0.0.1:0"
TOKEN_VARIABLE = "FER_EDGE_PREVIEW_TOKEN"  # noqa: S105 - the variable's name

# What secrets.token_urlsafe gives, and from 128 bits (22 characters) on what nobody guesses.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,200}")
_HOST_PORT = re.compile(r"(?:(?P<host>[^\s:/\[\]]+|\[[0-9A-Fa-f:.]+\]):)?(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server listens: a name or an IP address without brackets, and a port, 0 for any that is free."""

    host: str
    port: int


def parse_address(text: str) -> Address:
    """Return the address that HOST:PORT or PORT names; the latter on this machine alone.

    Raises:
        UsageError: it is neither.
    """
    match = _HOST_PORT.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise UsageError(
            f"--preview {text}: expected HOST:PORT or PORT, such as 127.0.0.1:8080, with a port of 0 to 65535, 0 for "
            "any that is free"
        )
    return Address(host=(match["host"] or "127.0.0.1").strip("[]"), port=int(match["port"]))


class Gate:
    """Lets in who came by a name of this machine and, where that is asked for, has the token.

    Attributes:
        token: who has it may look; None where everybody on this machine may.
        has_own_token: whether the user chose it; it is not repeated then.
        cookie_name: cookies are shared by all ports of a host, so the port is in it.
    """

    def __init__(self, host: str, bound_to: str, port: int) -> None:
        """Ask for a token where anything but this machine can connect, or where TOKEN_VARIABLE holds one.

        Args:
            host: as the user wrote it.
            bound_to: the IP address that the socket is bound to.
            port: of the socket.

        Raises:
            UsageError: TOKEN_VARIABLE holds what is no token.
        """
        own_token = os.environ.get(TOKEN_VARIABLE)
        if own_token is not None and not _TOKEN.fullmatch(own_token):
            raise UsageError(
                f"{TOKEN_VARIABLE}: expected 22 to 200 letters, digits, - or _, found {len(own_token)} characters that "
                "are not; unset it for a token made by chance"
            )
        self.has_own_token = own_token is not None
        self.token = own_token
        if own_token is None and not ipaddress.ip_address(bound_to.partition("%")[0]).is_loopback:
            self.token = secrets.token_urlsafe(32)
        self.cookie_name = f"fer_edge_preview_{port}"
        name = socket.gethostname().lower()
        self._names = {"localhost", host.lower(), name, f"{name}.local"}

    def knows_host(self, header: str | None) -> bool:
        """Tell whether a Host header is an IP address or a name of this machine.

        A page of somebody else's can have its own name lead here (DNS rebinding); the browser then takes what it reads
        for that page's own. It cannot have an IP address do so.
        """
        try:
            name = urlsplit(f"//{header}").hostname if header else None
        except ValueError:
            return False
        if name is None:
            return False
        try:
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return name in self._names
        return True

    def is_token(self, text: str) -> bool:
        """Tell whether a text is the token, in a time that does not depend on how much of it is right."""
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())

    def admits(self, cookie_header: str | None) -> bool:
        """Tell whether a request with these cookies may look."""
        if self.token is None:
            return True
        try:
            cookie = SimpleCookie(cookie_header or "").get(self.cookie_name)
        except CookieError:
            return False
        return cookie is not None and self.is_token(cookie.value)

    def set_cookie(self) -> str:
        """Return the Set-Cookie header that lets a browser in until it is closed; no script can read it."""
        return f"{self.cookie_name}={self.token}; Path=/; HttpOnly; SameSite=Strict"
