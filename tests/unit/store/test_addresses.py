"""Which addresses are public, and where a webhook may lead."""

from __future__ import annotations

import pytest

from store.addresses import is_public, refusal


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0",  # noqa: S104

        "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1", "::", "::1", "fe80::1%eth0",
        "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "2001:0:1::", "2001:db8::1", "::127.0.0.1",
    ],
)  # fmt: skip
def test_addresses_within_a_network_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://example.com/", "https"),
        ("ftp://example.com/", "https"),
        ("https:///path", "whole address"),
        ("example.com/hook", "whole address"),
        ("https://user:word@example.com/", "user name"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com:99999/", "not a valid"),
        ("https://example.com:0/", "whole address"),
        ("https://exa mple.com/", "printable"),
        ("https://example.com/\n", "printable"),
        ("https://exämple.com/", "ASCII"),
        ("https://example.com/" + "x" * 2048, "2048"),
        ("https://[::1/", "not a valid"),
        ("https://127.0.0.1/", "not public"),
        ("https://[::1]/", "not public"),
        ("https://169.254.169.254/latest/meta-data", "not public"),
        ("https://localhost:8000/", "not public"),
    ],
)
def test_an_address_that_is_refused_says_why(url: str, reason: str) -> None:
    assert reason in (refusal(url, private=False) or "")


def test_ones_own_network_can_be_allowed() -> None:
    for url in ("http://localhost:8000/", "https://10.0.0.1/", "http://hook.internal/x?y=z"):
        assert refusal(url, private=True) is None
    assert refusal("https://example.com/hook", private=False) is None
    assert refusal("ftp://example.com/", private=True) is not None
