"""Open http and https addresses, with certificates that every Python has."""

from __future__ import annotations

import http.client
import ssl
import urllib.request
from typing import cast


def open_url(address: str | urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
    """Return the open response of an http or https address; proxies are those of the environment.

    Raises:
        OSError: there is no connection within ``timeout`` seconds, or the server refuses; ``urllib.error.URLError`` and
            ``urllib.error.HTTPError`` are such errors.
    """
    response = urllib.request.urlopen(address, timeout=timeout, context=ssl_context())  # noqa: S310 - the callers' literals
    return cast("http.client.HTTPResponse", response)


def ssl_context() -> ssl.SSLContext:
    """Return the settings of an encrypted connection: Python's own certificate authorities, and those of certifi.

    Pythons from python.org for macOS have no certificates until a script in their folder was run. Python's own stay
    in use, as a company's proxy may be known to them alone.
    """
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
