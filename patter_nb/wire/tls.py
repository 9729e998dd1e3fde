"""Whose certificates are trusted where tools and handlers are called."""

from __future__ import annotations

import ssl

import certifi

__all__ = ["trusted_context"]


def trusted_context() -> ssl.SSLContext:
    """The machine's certificates (SSL_CERT_FILE and SSL_CERT_DIR count), and certifi's, for a Python that was installed without any."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
