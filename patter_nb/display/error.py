"""An error as a card: what went wrong, what to do about it, and the vendor's own words to copy. Never a traceback."""

from __future__ import annotations

from patter_nb.display.markup import Html, fold, foreign, join, left_out, line, tag
from patter_nb.errors import AllProvidersFailed, PatterError, RateLimitError, TruncatedStream

__all__ = ["error_card", "error_text"]

_SHOWN = 6


def error_text(error: PatterError) -> str:
    """Type and cause; the remedy on a line of its own."""
    lines = [f"{type(error).__name__}: {line(error.message, 400)}"]
    if error.hint:
        lines.append(f"  remedy: {line(error.hint, 400)}")
    if isinstance(error, AllProvidersFailed):
        lines += [f"  - {_one_line(each)}" for each in error.errors[:_SHOWN]]
    return "\n".join(lines)


def error_card(error: PatterError, *, room: int = 3000) -> Html:
    """The card; at most `room` bytes of any one text in it."""
    remedy = [tag("p", tag("b", "What to do: "), foreign(error.hint, room))] if error.hint else []
    said = (tag("p", tag("b", type(error).__name__, cls="bad")), tag("p", foreign(error.message, room)))
    return tag("div", *said, *remedy, _detail(error, room), cls="card pnb-error", role="alert")


def _detail(error: PatterError, room: int) -> Html:
    known = {
        "provider": error.provider,
        "model": error.model,
        "status": error.status,
        "code": error.code,
        "request": error.request_id,
        "retry after": f"{error.retry_after_s:g} s" if isinstance(error, RateLimitError) and error.retry_after_s is not None else None,
        "came before": error.partial_text or None if isinstance(error, TruncatedStream) else None,
        "caused by": type(error.__cause__).__name__ if error.__cause__ is not None else None,
    }
    rows = [join(tag("dt", name), tag("dd", fold(str(value), room // 2))) for name, value in known.items() if value is not None]
    if isinstance(error, AllProvidersFailed) and error.errors:
        causes = [tag("li", foreign(_one_line(each), room // _SHOWN)) for each in error.errors[:_SHOWN]]
        rows.append(join(tag("dt", "each said"), tag("dd", tag("ul", *causes), left_out(len(error.errors[_SHOWN:]), "errors"))))
    return tag("details", tag("summary", "Details"), tag("dl", *rows)) if rows else Html()


def _one_line(error: BaseException) -> str:
    said = error.message if isinstance(error, PatterError) else ""
    return ": ".join(part for part in (type(error).__name__, line(said, 200)) if part)
