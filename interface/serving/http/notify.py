"""Tells systemd that the service is up and alive (`sd_notify`), where it was started by a unit of ``Type=notify``."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> bool:
    """Send a state such as ``READY=1``. Returns whether anybody listens.

    Source: sd_notify(3), its protocol: a datagram to the socket that the environment names.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # a name in the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.connect(address)
        connection.sendall(state.encode())
    return True


def watchdog_interval_s() -> float | None:
    """Seconds between two signs of life, half of what the unit allows; None where it wants none."""
    allowed_us = os.environ.get("WATCHDOG_USEC", "")
    if not allowed_us.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(allowed_us) / 2e6
