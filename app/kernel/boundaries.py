"""Named places at which a crash must be survivable.

Each commit and each call to the outside has a name. Production passes them by; a crash test installs a
function that kills the process there, which is the only honest way to die at the same spot twice.
"""

from collections.abc import Callable

_hook: Callable[[str], None] | None = None


def install(hook: Callable[[str], None] | None) -> None:
    """Call `hook` with the name of every boundary that is reached; None takes it away."""
    global _hook  # noqa: PLW0603 - a switch of the whole process
    _hook = hook


def reach(name: str) -> None:
    """Say that the process has come to boundary `name`."""
    if _hook is not None:
        _hook(name)
