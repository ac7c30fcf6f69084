"""Processes that hear Ctrl-C."""

import signal


def listen():
    """Before one begins: a shell's background jobs, and what they start, are deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
