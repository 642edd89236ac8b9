"""The nearest point of a ball, and of a ball cut by a box: pure functions in units of eps. B batch, S observation."""

import torch
from torch import Tensor


def into_ball(change: Tensor, radius: Tensor, rooms: tuple[Tensor, ...] | None = None) -> Tensor:
    """Return the factor (B, 1) in [0, 1] that scales change (B, S) into the ball ‖·‖₂ ≤ radius.

    `rooms` are the distances (B, S) that each sensor may go down and up. With them, the scaled change, clipped to the
    rooms, is the nearest point of the ball within the box. That point minimises a sum of squares under one constraint
    on a sum of squares: it is t·change where the box leaves room and the box's edge elsewhere, for one t per row.
    """
    if rooms is None:
        length = torch.linalg.vector_norm(change, dim=-1, keepdim=True)  # (B, 1)
        return torch.where(length <= radius, torch.ones_like(length), radius / length)
    room = torch.where(change < 0, rooms[0], rooms[1])
    size = change.abs()
    stop, order = torch.where(size > 0, room / size, torch.inf).sort(-1)  # the t at which each sensor meets the box
    room, size = room.gather(-1, order).square(), size.gather(-1, order).square()
    fixed = torch.cat([torch.zeros_like(room[:, :1]), torch.where(stop.isfinite(), room, 0.0).cumsum(-1)], -1)
    free = torch.cat([size, torch.zeros_like(size[:, :1])], -1).flip(-1).cumsum(-1).flip(-1)  # (B, S + 1)
    reached = fixed[:, :-1] + stop.square() * free[:, :-1]  # squared length at each of these t
    met = (reached <= radius.square()).sum(-1, keepdim=True)  # how many sensors are at the box when the ball ends
    left = (radius.square() - fixed.gather(-1, met)).clamp(min=0)
    return (left / free.gather(-1, met)).sqrt().nan_to_num(nan=1.0, posinf=1.0).clamp(max=1.0)
