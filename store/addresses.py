"""Where a webhook may lead: what its URL must be like, and which addresses are on the public internet."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

MAX_URL = 2048
NAT64 = ipaddress.ip_network("64:ff9b::/96")
UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given to hosts of the internet."""


def refusal(url: str, *, private: bool) -> str | None:
    """Why no webhook can lead to `url`, or None; `private`: targets within one's own network are allowed.

    A name is not looked up here: whoever connects asks `is_public` of what the name is then.
    """
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        return f"must be an address of at most {MAX_URL} printable ASCII characters"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a valid address"
    if not host or port == 0:
        return "must be a whole address, such as https://example.com/hook"
    if parts.scheme not in ("https", "http") or (parts.scheme == "http" and not private):
        return "must begin with https://"
    if parts.username is not None or parts.fragment:
        return "must hold no user name, password or fragment"
    return None if private or not _is_private_literal(host) else f"leads to {host}, which is not public"


def is_public(address: str) -> bool:
    """Whether an IP address is a single host's on the public internet, however it is written."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip in NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip not in UNICAST or ip.sixtofour is not None or ip.teredo is not None:
            return False  # the latter two are tunnels to an IPv4 address
    return ip.is_global and not ip.is_multicast


def _is_private_literal(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not is_public(host)
    except ValueError:
        return False  # a name
