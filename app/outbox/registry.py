"""Which handlers there are. The factory fills it; nothing is found by import side effects."""

from collections.abc import Iterable

from app.outbox.contracts import CallbackHandler, Effect, FactHandler


def fact_topic(handler: str) -> str:
    """Return the topic on which the deliveries of a fact handler wait."""
    return f"fact.{handler}"


def inbox_topic(source: str) -> str:
    """Return the topic on which the callbacks of a source wait."""
    return f"inbox.{source}"


class Registry:
    """The effects, fact handlers and callback handlers of this installation, by topic."""

    def __init__(
        self,
        *,
        effects: Iterable[Effect] = (),
        fact_handlers: Iterable[FactHandler] = (),
        callback_handlers: Iterable[CallbackHandler] = (),
    ) -> None:
        self.effects: dict[str, Effect] = {}
        self.fact_handlers: dict[str, FactHandler] = {}
        self.callback_handlers: dict[str, CallbackHandler] = {}
        self.add(effects=effects, fact_handlers=fact_handlers, callback_handlers=callback_handlers)

    def add(
        self,
        *,
        effects: Iterable[Effect] = (),
        fact_handlers: Iterable[FactHandler] = (),
        callback_handlers: Iterable[CallbackHandler] = (),
    ) -> None:
        """Add handlers: those that publish facts themselves need the registry before they can be built."""
        self.effects.update({effect.topic: effect for effect in effects})
        self.fact_handlers.update({fact_topic(handler.name): handler for handler in fact_handlers})
        self.callback_handlers.update({inbox_topic(handler.source): handler for handler in callback_handlers})

    @property
    def topics(self) -> list[str]:
        """All topics that this installation drains, in a stable order."""
        return [*self.callback_handlers, *self.fact_handlers, *self.effects]

    def handlers_of(self, fact: str) -> list[FactHandler]:
        """Return the handlers of fact `fact`."""
        return [handler for handler in self.fact_handlers.values() if handler.fact == fact]
