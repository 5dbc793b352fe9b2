"""Addresses as they may be shown: without what may be a password."""

from __future__ import annotations

import re


def public(address: str) -> str:
    """An address without user, password and query. It may be wrongly written: rather too much goes than too little."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    before, at, host = rest.rpartition("@")
    if "?" in before:  # of a password in front of the host, or where a query with an @ in it begins
        return f"{scheme}://…"
    return f"{scheme}://{re.split('[?#]', host if at else rest)[0]}"


def without_passwords(text: str) -> str:
    """An error's text, in which addresses may stand, whole or without their beginning."""
    return re.sub(r"\S+", lambda found: public(found[0]).rpartition("@")[2], text)
