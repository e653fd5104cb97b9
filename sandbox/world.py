"""Everything of one local Tencent, put together."""

from __future__ import annotations

from pathlib import Path

from sandbox.agenda import Agenda
from sandbox.book import Book
from sandbox.callbacks import Callbacks
from sandbox.captcha import Captchas
from sandbox.clock import SandboxClock
from sandbox.codes import Codes
from sandbox.directory import Directory
from sandbox.exchanges import Exchanges
from sandbox.faults import Faults
from sandbox.journal import Journal
from sandbox.limits import RateLimiter
from sandbox.market import Market
from sandbox.pushes import Pushes
from sandbox.red_packets import RedPackets
from sandbox.settings import LiveSettings, Settings
from sandbox.statements import Statements
from sandbox.store import Event, Store
from sandbox.tokens import Tokens
from sandbox.transfers import Transfers


class World:
    """The rooms of the sandbox and how they are joined."""

    def __init__(self, settings: Settings, journal_path: Path | None = None) -> None:
        self.settings = LiveSettings(settings)
        self.clock = SandboxClock()
        self.store = Store(Journal(journal_path))
        self.agenda = Agenda(self.clock)
        self.faults = Faults()
        self.exchanges = Exchanges()
        self.limiter = RateLimiter()
        self.tokens = Tokens(self.clock)
        self.codes = Codes(self.clock)
        self.directory = Directory(self.store)
        self.captchas = Captchas(store=self.store, clock=self.clock)
        self.market = Market(store=self.store, directory=self.directory, clock=self.clock)
        self.book = Book()
        self.callbacks = Callbacks(
            directory=self.directory,
            clock=self.clock,
            agenda=self.agenda,
            settings=self.settings,
            faults=self.faults,
            exchanges=self.exchanges,
        )
        self.pushes = Pushes(callbacks=self.callbacks, clock=self.clock, exchanges=self.exchanges)
        self.statements = Statements(clock=self.clock, lock=self.store.lock)
        self.red_packets = RedPackets(
            store=self.store,
            directory=self.directory,
            book=self.book,
            clock=self.clock,
            agenda=self.agenda,
            settings=self.settings,
            statements=self.statements,
        )
        self.transfers = Transfers(
            store=self.store,
            directory=self.directory,
            book=self.book,
            clock=self.clock,
            agenda=self.agenda,
            settings=self.settings,
            statements=self.statements,
            packets=self.red_packets,
            announce=self.callbacks.announce,
        )
        self.callbacks.acknowledged = self.transfers.acknowledge
        self.store.on("clock", self._apply_clock)

    def start(self) -> None:
        """Replays the journal, then lets time and callbacks run."""
        self.store.replay()
        self.directory.be_born()
        self.callbacks.start()
        self.transfers.resume()
        self.red_packets.resume()
        self.agenda.start()

    def stop(self) -> None:
        """Stops the threads and closes the journal. What was under way is taken up by the next start."""
        self.agenda.stop()
        self.callbacks.stop()
        self.store.close()

    def advance(self, seconds: float) -> float:
        """Moves business time forward and runs what became due. Returns the new business time, Unix
        seconds."""
        with self.store.lock:
            self.store.record("clock", advance_seconds=seconds)
        self.agenda.run_due()
        return self.clock.now()

    def _apply_clock(self, event: Event) -> None:
        self.clock.advance(event["advance_seconds"])
