"""What is wrong with a request, as an answer: the error object of the OpenAI API, with its four keys."""

from typing import Any

from elman.errors import ElmanError

KINDS = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error", 503: "server_error"}


class RequestRefused(ElmanError):
    """A request that is not served: ``status`` is the HTTP status, ``param`` the field that is to blame."""

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    @property
    def answer(self) -> dict[str, Any]:
        """The body of the answer."""
        kind = KINDS.get(self.status, "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def too_many(what: str) -> RequestRefused:
    """Return the refusal of a request that would be served at another time."""
    return RequestRefused(f"{what}; try again in a moment", code="too_many_requests", status=429)


def out_of_time(seconds: float) -> RequestRefused:
    """Return the refusal of a request that took too long."""
    message = f"the request took longer than {seconds:g} s; ask for fewer tokens or shorter texts"
    return RequestRefused(message, code="time_limit_exceeded")


FAILED = "the server failed at this request; its log tells why"
