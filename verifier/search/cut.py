"""What lines leave of a box: a clause is unsafe only where every line of its rows is at most zero.

    centre + A · (x - middle) <= s,  lower <= x <= upper   =>   A_i x_i <= s - centre - min over the rest of the box

(s: twice what rounding needs, so that what is cut away is proved.) With several clauses alive a box keeps what any of
them needs.
"""

import torch
from torch import Tensor

from .row_lines import RowLines

_ROUNDS = 2  # over the rows, where there are several


def cut(lines: RowLines, lower: Tensor, upper: Tensor, alive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The boxes [D, n] that are left, each within its own, and which clauses [D, C] are still alive."""
    low, high = (end.unsqueeze(1).expand(-1, alive.shape[1], -1).clone() for end in (lower, upper))
    rows = lines.slopes.shape[2]
    for _ in range(_ROUNDS if rows > 1 else 1):
        for row in range(rows):
            slope, middle = lines.slopes[:, :, row], lines.middle.unsqueeze(1)
            least = lines.centre[:, :, row] + torch.where(
                slope > 0, slope * (low - middle), slope * (high - middle)
            ).sum(2)
            room = 2 * lines.needed[:, :, row] - least
            alive = alive & ~(room < 0)
            reach = room.clamp(min=0).unsqueeze(2) / slope  # infinite where the line is flat
            high = torch.where(slope > 0, torch.fmin(high, low + reach), high)  # fmin passes NaN over
            low = torch.where(slope < 0, torch.fmax(low, high + reach), low)
    inside = alive.unsqueeze(2)
    least = low.where(inside, low.new_tensor(torch.inf)).amin(1)
    most = high.where(inside, high.new_tensor(-torch.inf)).amax(1)
    some = alive.any(1, keepdim=True)
    return (
        torch.where(some, torch.maximum(least, lower), lower),
        torch.where(some, torch.minimum(most, upper), upper),
        alive,
    )
