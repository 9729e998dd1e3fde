"""One family of errors, so that a caller can catch what it can act on and read what to do about the rest.

    PatterError                     base: message, provider, model, status, code, request_id, hint
    ├── PatterConfigError           wrong or missing configuration (also a ValueError)
    ├── AuthenticationError         the key is missing, wrong or not allowed
    ├── RateLimitError              too many requests; retry_after_s when the vendor said so
    ├── RequestTimeout              no answer in time
    ├── ConnectionFailed            no connection, or it broke before the first word
    ├── ContextTooLong              the conversation does not fit the model
    ├── ContentFiltered             refused before any output
    ├── ModelNotFound               no such model (or a model file is missing)
    ├── BadRequest                  the provider rejected the request's form
    ├── ServerError                 the provider failed on its side
    ├── QuotaExceeded               the account has no credit left
    ├── MalformedStream             the answer was not of the promised form
    ├── TruncatedStream             the answer broke off; partial_text holds what had come
    ├── AllProvidersFailed          every provider of a fallback failed; errors holds one each
    ├── ToolError                   a tool is unknown, failed, timed out or was given wrong arguments
    ├── AudioError                  sound that cannot be read, written or converted
    └── MissingExtra                an optional package is not installed (also an ImportError)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = [
    "AllProvidersFailed",
    "AudioError",
    "AuthenticationError",
    "BadRequest",
    "ConnectionFailed",
    "ContentFiltered",
    "ContextTooLong",
    "MalformedStream",
    "MissingExtra",
    "ModelNotFound",
    "PatterConfigError",
    "PatterError",
    "QuotaExceeded",
    "RateLimitError",
    "RequestTimeout",
    "ServerError",
    "ToolError",
    "TruncatedStream",
]


class PatterError(Exception):
    """Something went wrong, with its cause in `message` and the remedy in `hint`.

    `provider`, `model`, `status` (HTTP), `code` and `request_id` are the vendor's own words where there is a vendor, else None.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.status = status
        self.code = code
        self.request_id = request_id
        self.hint = hint

    def __str__(self) -> str:
        ends = "" if self.message.rstrip().endswith((".", "!", "?", ":", "…")) else "."
        return f"{self.message}{ends} {self.hint}" if self.hint else self.message

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, str]:
        from patter_nb.display import mimebundle

        return mimebundle(self)


class PatterConfigError(PatterError, ValueError):
    """Wrong or missing configuration, found before anything was sent."""


class AuthenticationError(PatterError):
    """The key is missing, wrong, or not allowed to do this."""


class RateLimitError(PatterError):
    """Too many requests. `retry_after_s` is the wait the vendor asked for, in seconds, or None."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, hint: str | None = None, **where: object) -> None:
        super().__init__(message, hint=hint, **where)  # type: ignore[arg-type]  # the base names and checks them
        self.retry_after_s = retry_after_s


class RequestTimeout(PatterError):
    """No answer within the time allowed."""


class ConnectionFailed(PatterError):
    """No connection could be made, or it broke before the first word of an answer."""


class ContextTooLong(PatterError):
    """The conversation does not fit the model's context."""


class ContentFiltered(PatterError):
    """The provider refused before any output."""


class ModelNotFound(PatterError):
    """The provider knows no such model, or a local model file is missing."""


class BadRequest(PatterError):
    """The provider rejected the form of the request."""


class ServerError(PatterError):
    """The provider failed on its own side."""


class QuotaExceeded(PatterError):
    """The account has no credit left."""


class MalformedStream(PatterError):
    """What arrived is not of the promised form."""


class TruncatedStream(PatterError):
    """The answer broke off before its end. `partial_text` is what had come until then."""

    def __init__(self, message: str, *, partial_text: str = "", hint: str | None = None, **where: object) -> None:
        super().__init__(message, hint=hint, **where)  # type: ignore[arg-type]  # the base names and checks them
        self.partial_text = partial_text


class AllProvidersFailed(PatterError):
    """Every provider of a fallback failed. `errors` holds one error for each, in order."""

    def __init__(self, message: str, errors: Sequence[BaseException] = (), *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.errors = tuple(errors)


class ToolError(PatterError):
    """A tool is unknown, failed, timed out, or was called with arguments that do not fit its schema."""


class AudioError(PatterError):
    """Sound that cannot be read, written or converted."""


class MissingExtra(PatterError, ImportError):
    """An optional package is not installed.

    `extra` is the name in `pip install "patter-nb[extra]"`, `package` the import that failed, `needed_for` what wanted it.
    """

    def __init__(self, extra: str, package: str, needed_for: str) -> None:
        message = f"{needed_for} needs the package {package}, which is not installed."
        super().__init__(message, hint=f'Run: pip install "patter-nb[{extra}]" (in a clone: pip install -e ".[{extra}]")')
        self.extra = extra
        self.package = package
        self.needed_for = needed_for
