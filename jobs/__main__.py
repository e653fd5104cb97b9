"""`python -m jobs`: the scheduler process. Any number may run; SIGTERM lets it finish its work."""

import os
import signal
import sys
import threading

from app.config import BadSettings, load_settings
from app.factory import build_container
from app.http import logs
from jobs.schedule import Scheduler


def main() -> int:
    """Run the jobs until SIGTERM or Ctrl-C; return the exit code."""
    try:
        settings = load_settings(os.environ)
        logs.configure(settings.log_level)
        container = build_container(settings)
    except BadSettings as bad:
        sys.stderr.write("\n  ".join(["saoma: the settings are not right:", *bad.faults]) + "\n")
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    scheduler = Scheduler(container)
    scheduler.start()
    stop.wait()
    scheduler.stop()
    container.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
