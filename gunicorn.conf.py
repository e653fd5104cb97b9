"""How the web server runs: `gunicorn wsgi:app` reads this file by itself.

Threads, because a request waits for the database most of its life. On SQLite one worker holds everything,
the scheduler included (docs/adr/0011-sizes.md); otherwise `python -m jobs` runs beside it.
SIGTERM: no new connections, requests and calls in flight end, then the process goes.
"""

import gc
import os
from pathlib import Path
from typing import Any

from app.config import load_settings
from app.http import metrics

# Nothing that is loaded at the start is rubbish: collecting meanwhile would only look at it again and again.
gc.disable()

_settings = load_settings(os.environ)

bind = f"{os.environ.get('SAOMA_BIND', '127.0.0.1')}:{_settings.port}"
worker_class = "gthread"
workers = 1 if _settings.embedded else int(os.environ.get("SAOMA_WEB_WORKERS", "2"))
threads = int(os.environ.get("SAOMA_WEB_THREADS", "8"))
timeout = 60
graceful_timeout = 30
keepalive = 5
# The kit writes one structured line per request; the server's own access log would hold raw paths.
accesslog = None
# It names the address and the raw line of whoever sends nonsense, at level warning.
loglevel = "error"
limit_request_line = 2048
limit_request_fields = 64
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Clear the counters that earlier processes left, where the processes share a folder for them."""
    folder = os.environ.get(metrics.FOLDER_VARIABLE)
    if folder:
        metrics.empty_folder(Path(folder))


def post_worker_init(worker: Any) -> None:
    """Collect garbage from here on, but not what was loaded; start the embedded scheduler."""
    gc.freeze()
    gc.enable()
    if _settings.embedded:
        from jobs.schedule import Scheduler
        from wsgi import container

        worker.saoma_scheduler = Scheduler(container)
        worker.saoma_scheduler.start()


def worker_exit(server: Any, worker: Any) -> None:
    """Let the work in hand end."""
    from wsgi import container

    scheduler = getattr(worker, "saoma_scheduler", None)
    if scheduler is not None:
        scheduler.stop()
    container.close()
