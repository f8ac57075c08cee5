"""Fetching: nothing unless a host is named, and then only what is public, whatever names and redirects say."""

import contextlib
import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from happyhorse.serve.http import fetch
from happyhorse.serve.http.fetch import check, public

HOSTS = ("pictures.example",)


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.example/x",
        "ftp://pictures.example/x",
        "file:///etc/passwd",
        "https://user:pw@pictures.example/x",
        "https://pictures.example:8443/x",
        "https://pictures.example.evil/x",
        "https://evil/pictures.example",
        "https://pictures.example\\@evil/x",
        "https://pictures.example/x\r\nHost: evil",
        "https://[::1]/x",
        "https://127.0.0.1/x",
        "//pictures.example/x",
        "pictures.example",
        "https://",
        "https://[bad/x",
    ],
)
def test_addresses_that_are_not_fetched(url):
    with pytest.raises(ValueError):
        check(url, HOSTS)


def test_nothing_is_fetched_unless_a_host_is_named():
    with pytest.raises(ValueError, match="fetches nothing; upload"):
        fetch.fetch("https://pictures.example/x", (), 10)
    assert check("https://Pictures.Example/a?b=c", HOSTS) == ("pictures.example", 443, "/a?b=c")


def resolve(monkeypatch, *addresses: str) -> None:
    found = [(0, 0, 0, "", (address, 443)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **rest: found)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.8", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "fd00::1",
     "fe80::1%eth0", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:7f00:1::",
     "2001:0:7f00:1::", "::127.0.0.1"],
)  # fmt: skip
def test_a_name_with_any_private_address_is_refused(monkeypatch, address):
    resolve(monkeypatch, "93.184.216.34", address)
    with pytest.raises(ValueError, match="not on the public internet"):
        public("pictures.example", 443)


@given(st.ip_addresses())
def test_only_public_addresses_are_dialled(address):
    with pytest.MonkeyPatch.context() as patch:
        resolve(patch, str(address))
        with contextlib.suppress(ValueError):
            assert ipaddress.ip_address(public("h", 443)).is_global


class Answer:
    """What a host says."""

    def __init__(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.status, self.content, self.headers = status, content, headers

    def getheader(self, name: str) -> str | None:
        return self.headers.get(name)

    def read1(self, size: int) -> bytes:
        piece, self.content = self.content[:size], self.content[size:]
        return piece


@pytest.fixture
def internet(monkeypatch):
    """Hosts that answer; what was dialled and asked for is written down."""
    asked, answers = [], []

    class Plain:
        def settimeout(self, seconds):
            assert 0 < seconds <= fetch.SECONDS

    class Tls:
        def wrap_socket(self, plain, server_hostname):
            asked.append(server_hostname)
            return plain

    monkeypatch.setattr(
        socket, "create_connection", lambda address, timeout: (asked.append(address), Plain())[1]
    )
    monkeypatch.setattr(fetch.ssl, "create_default_context", Tls)
    monkeypatch.setattr(
        fetch.http.client.HTTPConnection, "request", lambda self, verb, path, **rest: asked.append(path)
    )
    monkeypatch.setattr(fetch.http.client.HTTPConnection, "getresponse", lambda self: answers.pop(0))
    monkeypatch.setattr(fetch.http.client.HTTPConnection, "close", lambda self: None)
    resolve(monkeypatch, "93.184.216.34")
    return asked, answers


def test_the_address_that_was_looked_at_is_the_one_that_is_dialled(internet):
    asked, answers = internet
    answers.append(Answer(200, b"picture"))
    assert fetch.fetch("https://pictures.example/a", HOSTS, 100) == b"picture"
    assert asked == [("93.184.216.34", 443), "pictures.example", "/a"]


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "http://pictures.example/", "https://169.254.169.254/latest"]
)
def test_redirects_are_looked_at_again(internet, target):
    internet[1].append(Answer(302, location=target))
    with pytest.raises(ValueError):
        fetch.fetch("https://pictures.example/a", HOSTS, 100)
    assert len(internet[0]) == 3


def test_what_is_endless_ends(internet):
    internet[1].extend(Answer(302, location="/again") for _ in range(9))
    with pytest.raises(ValueError, match="more than 3 redirects"):
        fetch.fetch("https://pictures.example/a", HOSTS, 100)
    internet[1][:] = [Answer(200, b"x" * 200)]
    with pytest.raises(ValueError, match="more than"):
        fetch.fetch("https://pictures.example/a", HOSTS, 100)
    internet[1][:] = [Answer(404)]
    with pytest.raises(ValueError, match="answers 404"):
        fetch.fetch("https://pictures.example/a", HOSTS, 100)
