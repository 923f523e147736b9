from __future__ import annotations

import socket

import pytest

from fer_edge.errors import UsageError
from fer_edge.preview.access import Address, Gate, parse_address

TOKEN = "a-token_that-is-long-enough"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("127.0.0.1:8080", ("127.0.0.1", 8080), id="address and port"),
        pytest.param("8080", ("127.0.0.1", 8080), id="port alone: this machine alone"),
        pytest.param("0", ("127.0.0.1", 0), id="any port"),
        pytest.param("raspberrypi.local:65535", ("raspberrypi.local", 65535), id="name, highest port"),
        pytest.param("[::1]:80", ("::1", 80), id="IPv6"),
    ],
)
def test_addresses(text, expected):
    assert parse_address(text) == Address(host=expected[0], port=expected[1])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "clip.mp4",
        "127.0.0.1",
        "127.0.0.1:",
        ":80",
        "a b:80",
        "127.0.0.1:65536",
        "::1:80",
        "http://a:80",
        "a:-1",
        "a:٣",
    ],
)
def test_what_is_no_address(text):
    with pytest.raises(UsageError, match=r"^--preview .*: expected HOST:PORT or PORT, such as 127\.0\.0\.1:8080"):
        parse_address(text)


@pytest.mark.parametrize(
    ("bound_to", "needed"),
    [
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("::1", False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.168.1.7", True),
    ],
)
def test_a_token_is_needed_where_others_can_connect(monkeypatch, bound_to, needed):
    monkeypatch.delenv("FER_EDGE_PREVIEW_TOKEN", raising=False)
    gate = Gate("host", bound_to, 80)
    assert (gate.token is not None) is needed
    assert gate.admits(None) is not needed
    assert not gate.has_own_token


def test_two_tokens_are_never_the_same(monkeypatch):
    monkeypatch.delenv("FER_EDGE_PREVIEW_TOKEN", raising=False)
    tokens = {Gate("host", "0.0.0.0", 80).token for _ in range(20)}
    assert len(tokens) == 20
    assert min(len(token) for token in tokens) >= 43  # 256 bits in 6 each


def test_the_users_own_token_is_needed_everywhere(monkeypatch):
    monkeypatch.setenv("FER_EDGE_PREVIEW_TOKEN", TOKEN)
    gate = Gate("localhost", "127.0.0.1", 80)
    assert (gate.token, gate.has_own_token) == (TOKEN, True)
    assert not gate.admits(None)
    assert gate.set_cookie() == f"fer_edge_preview_80={TOKEN}; Path=/; HttpOnly; SameSite=Strict"


@pytest.mark.parametrize(
    ("cookie", "admitted"),
    [
        pytest.param(f"fer_edge_preview_80={TOKEN}", True, id="right"),
        pytest.param(f"a=b; fer_edge_preview_80={TOKEN}; c=d", True, id="among others"),
        pytest.param(f"fer_edge_preview_81={TOKEN}", False, id="another port's"),
        pytest.param(f"fer_edge_preview_80={TOKEN}x", False, id="longer"),
        pytest.param(f"fer_edge_preview_80={TOKEN[:-1]}", False, id="shorter"),
        pytest.param("fer_edge_preview_80=", False, id="empty"),
        pytest.param("fer_edge_preview_80=\u00e9", False, id="no ASCII"),
        pytest.param("{}[]=;,=", False, id="nonsense"),
        pytest.param("", False, id="none"),
    ],
)
def test_cookies(monkeypatch, cookie, admitted):
    monkeypatch.setenv("FER_EDGE_PREVIEW_TOKEN", TOKEN)
    assert Gate("localhost", "127.0.0.1", 80).admits(cookie) is admitted


@pytest.mark.parametrize("token", ["", "short", "x" * 201, "with space in it, and long", "a/path/that/is/long/enough"])
def test_what_is_no_token_is_not_repeated(monkeypatch, token):
    monkeypatch.setenv("FER_EDGE_PREVIEW_TOKEN", token)
    with pytest.raises(UsageError, match=r"^FER_EDGE_PREVIEW_TOKEN: expected 22 to 200 letters") as caught:
        Gate("localhost", "127.0.0.1", 80)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "known"),
    [
        pytest.param("127.0.0.1:8080", True, id="loopback"),
        pytest.param("192.168.1.7", True, id="an IP address, which nobody's name server gives"),
        pytest.param("[::1]:8080", True, id="IPv6"),
        pytest.param("[fe80::1%25eth0]:8080", True, id="IPv6 of a link"),
        pytest.param("localhost:9000", True, id="localhost, by a tunnel's port"),
        pytest.param("CAMERA:8080", True, id="as the user wrote it, in capitals"),
        pytest.param(f"{socket.gethostname()}.local:8080", True, id="the machine's own name"),
        pytest.param("evil.example:8080", False, id="another name"),
        pytest.param("127.0.0.1.evil.example", False, id="a name that begins like an address"),
        pytest.param("localhost.evil.example", False, id="a name that begins like ours"),
        pytest.param("evil.example@127.0.0.1", True, id="an address behind a user name"),
        pytest.param("127.0.0.1@evil.example", False, id="a name behind a user name"),
        pytest.param("[::1", False, id="half an address"),
        pytest.param("", False, id="empty"),
        pytest.param(None, False, id="none"),
    ],
)
def test_names_of_the_host(header, known):
    assert Gate("camera", "127.0.0.1", 8080).knows_host(header) is known
