"""The client: a process of its own that keeps a number of connections busy and writes the times down.

Each connection does one job after the other; a job is one request or more, each sent when the one before is
answered. `{scan}` in a body stands for the scan's id in the answer before. The connections come from many
loopback addresses, as shoppers do. The HTTP is as little as it takes, so that the servers have the machine.

    python -m bench.load < plan.json > times.json
"""

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

_SCAN = re.compile(rb'"scan": ?\{"id": ?"([^"]+)"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(slots=True)
class _Tally:
    """What came of it: answers by status, seconds of each request, and a wrong answer as an example."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: str = ""


class _Connection(asyncio.Protocol):
    """Does jobs until there are none left."""

    def __init__(self, port: int, jobs: Iterator[list[dict[str, Any]]], tally: _Tally) -> None:
        self._port, self._jobs, self._tally = port, jobs, tally
        self._rest: Iterator[dict[str, Any]] = iter(())
        self._got, self._scan, self._sent = b"", "", 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._got, 0, end + 2)
        if length is None or len(self._got) < end + 4 + int(length[1]):
            return
        status = int(self._got[9:12])
        self._tally.seconds.append(perf_counter() - self._sent)
        self._tally.statuses[status] += 1
        if status != 201 and not self._tally.wrong:
            self._tally.wrong = self._got.decode(errors="replace")
        found = _SCAN.search(self._got, end)
        if found is not None:
            self._scan = found[1].decode()
        self._got = b""
        self._next()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server hung up"))

    def _next(self) -> None:
        step = next(self._rest, None)
        if step is None:
            job = next(self._jobs, None)
            if job is None:
                self.done.set_result(None)
                self._transport.close()
                return
            self._rest = iter(job)
            step = next(self._rest)
        body = step["body"].replace("{scan}", self._scan).encode()
        head = f"POST {step['path']} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in step["headers"].items())
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._sent = perf_counter()
        self._transport.write(head.encode() + body)


async def _run(plan: dict[str, Any]) -> dict[str, Any]:
    loop, port, tally, jobs = asyncio.get_running_loop(), plan["port"], _Tally(), iter(plan["jobs"])
    started = perf_counter()
    connections = [
        loop.create_connection(
            lambda: _Connection(port, jobs, tally), "127.0.0.1", port, local_addr=(f"127.0.0.{number}", 0)
        )
        for number in range(2, 2 + plan["connections"])
    ]
    for _transport, connection in await asyncio.gather(*connections):
        await connection.done
    return {
        "elapsed": perf_counter() - started,
        "seconds": tally.seconds,
        "statuses": tally.statuses,
        "wrong": tally.wrong,
    }


if __name__ == "__main__":
    json.dump(asyncio.run(_run(json.load(sys.stdin))), sys.stdout)
