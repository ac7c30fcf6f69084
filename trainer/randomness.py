"""Random streams by name: each is a function of (seed, purpose, counters) and holds no state between steps.

A resumed run therefore draws what the uninterrupted one would have drawn, with nothing to save but the step number.
"""

import numpy as np
import torch

PURPOSES = ("init", "shuffle", "augment", "noise", "attack", "split", "landscape", "held_out", "revive")


def stream(seed: int, purpose: str, *counters: int) -> torch.Generator:
    """A CPU generator for `purpose`, one of `PURPOSES`, at `counters` (epoch, step, …)."""
    words = np.random.SeedSequence([seed, PURPOSES.index(purpose), *counters]).generate_state(2)
    # 64 bits go in, so that streams collide no more often than chance on 2^64 would have it
    return torch.Generator().manual_seed((int(words[0]) << 31 | int(words[1]) >> 1) & (2**63 - 1))
