"""What changes while training, as functions of the step number (steps count mini-batches, from 0)."""

from collections.abc import Sequence

CURVED = 0.25  # fraction of the ramp that is a power curve; the rest is a straight line
POWER = 4


def smooth_eps(step: int, start: int, end: int, final: float) -> float:
    """eps at `step`: 0 before `start`, a quartic, then a line that continues its slope, `final` from `end` on.

    M = start + int((end - start) / 4),  alpha = final / [(end - M) p (M - start)^(p-1) + (M - start)^p],  p = 4:
    alpha (k - start)^p up to M, then linear from there to `final` (Shi et al., 2021; De Palma et al., 2024).
    """
    if step >= end:
        return final
    if step < start:
        return 0.0
    middle = start + int(CURVED * (end - start))
    curve = middle - start
    alpha = final / ((end - middle) * POWER * curve ** (POWER - 1) + curve**POWER) if curve else 0.0
    if step <= middle:
        return float(alpha * (step - start) ** POWER)
    at_middle = alpha * curve**POWER
    return at_middle + (final - at_middle) * (step - middle) / (end - middle)


def multi_step(step: int, initial: float, factor: float, milestones: Sequence[int]) -> float:
    """`initial` times `factor` for every milestone reached (a step that equals one has reached it)."""
    return float(initial * factor ** sum(step >= milestone for milestone in milestones))
