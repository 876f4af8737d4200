"""An engine behind its server on loopback, in the process of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

from edgeplan.interface.serving.app import create_app
from edgeplan.interface.serving.engine import Engine
from edgeplan.interface.serving.http.server import Server


@contextmanager
def served(engine: Engine) -> Iterator[int]:
    """Serve on a free port, which is told."""
    ports: SimpleQueue[int] = SimpleQueue()
    server = Server(create_app(engine), engine, "127.0.0.1", 0, on_listening=ports.put)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield ports.get(timeout=20)
    finally:
        server.should_exit = True
        thread.join(20)
