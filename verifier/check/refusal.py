"""What a certificate cannot be accepted for, as types. Neither is ever a verdict."""

from ..errors import GlscertError


class Refused(GlscertError):
    """A certificate, or an answer of it, that does not prove what it says; the message names the place."""

    exit_code = 1

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place}: {why}")
        self.place, self.why = place, why


class NotCovered(GlscertError):
    """A network or a question that the checker cannot follow: nothing is accepted, nothing is held against it."""

    exit_code = 4
