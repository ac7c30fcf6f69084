"""What the steps of a search cost, in seconds of some processor: from the network's size alone, never by the clock.

How many subdomains go together and what is tried on them decides where a search goes. Were it to follow the time that
the last step took, a busy machine would search otherwise, and a seed would not give the same result twice.
"""

from ..engine.engine import Engine

_PASSES = 20  # through the network, for the ascent on a subdomain and the choice of its split
_SPEED = 1e10  # multiplications in a second
_SUBDOMAIN = 3e-4  # for whatever the network's size
_UNSTABLE = 0.1  # of the neurons, by and large
_PROGRAM, _ENTRY = 0.02, 5e-7  # a linear program, and each entry of its matrix


def subdomain_seconds(work: int) -> float:
    """To bound a subdomain of a network of `work` multiplications, and to choose its split."""
    return _SUBDOMAIN + _PASSES * work / _SPEED


def box_seconds(engine: Engine) -> float:
    """To bound the rows over a box of inputs, by bounds of those neurons that are unstable there."""
    return _UNSTABLE * max(1, engine.neurons) * engine.multiplications / _SPEED


def program_seconds(entries: int) -> float:
    """To solve a linear program whose matrix has so many entries."""
    return _PROGRAM + _ENTRY * entries
