"""Reads a span of keys page by page, whatever the engine."""

from collections.abc import AsyncGenerator

from emperor.model.registry_keys import Span
from emperor.registry.port import Engine, Page


async def pages(engine: Engine, span: Span, limit: int = 500) -> AsyncGenerator[Page, None]:
    """All pages of a span; keys may change between two of them. Raises as an engine does."""
    start: str | None = span.start
    while start is not None:
        page = await engine.page(Span(start, span.end), limit)
        yield page
        start = page.following
