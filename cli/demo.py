"""`glscli demo`."""


def command() -> None:
    """Train on digits, export, verify."""
