"""Importance scores: true-signed (higher is more important), one a layer, moved by probe losses.

Equations (symbols of Yao et al., 2024, section 3; the reference code stores the negative of s):

    draw of layers to update        weight_i = sigmoid(s_i)
    draw of layers to suppress      weight_i = sigmoid(-s_i)
    paper reward of candidate k     r_k = exp(-l_k) - mean_j exp(-l_j)
    standard reward                 r_k = GAIN * (mean_j x_j - x_k) / sqrt(var_j x_j + NOISE^2), x_j = log l_j
    update for each i in S_k        s_i <- s_i - mu * r_k * sigmoid(s_i) * (1 - sigmoid(s_i))

All candidates of a probe use the scores from before it. A suppressed layer whose candidate still has a low
loss (r_k > 0) is less important.

    s  scores, shape (L,)     l_k  loss of candidate k     S_k  its suppressed layers     mu  score_rate
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch.nn.functional import logsigmoid

GAIN = 0.1
"""Brings standardised rewards to the size of exp(-loss) differences, so that one mu suits both modes."""
NOISE = 1e-3
"""Relative differences of the loss well below this are noise, and not blown up to unit variance."""


def update_log_weights(scores: torch.Tensor, *, floor: float) -> torch.Tensor:
    """Return the log-weights of the draw of layers to update, shape (L,).

    `floor` of the whole weight is spread evenly over all layers; 0 is the paper's draw.
    """
    return with_floor(logsigmoid(scores), floor=floor)


def with_floor(log_weights: torch.Tensor, *, floor: float) -> torch.Tensor:
    """Return the log-weights with `floor` of the whole weight spread evenly; 0 leaves them as they are."""
    if floor == 0.0:
        return log_weights
    even = torch.full_like(log_weights, 1.0 / len(log_weights))
    return ((1.0 - floor) * torch.softmax(log_weights, dim=0) + floor * even).log()


def suppress_log_weights(scores: torch.Tensor) -> torch.Tensor:
    """Return the log-weights of the draw of layers to suppress, shape (L,)."""
    return logsigmoid(-scores)


def rewards(losses: Sequence[float], mode: Literal["paper", "standard"]) -> torch.Tensor:
    """Return the candidates' rewards from their losses, shape (K,); they sum to zero."""
    values = torch.tensor(losses, dtype=torch.float64)
    if mode == "paper":
        likelihoods = torch.exp(-values)
        return likelihoods - likelihoods.mean()
    if bool((values > 0.0).all()):
        return standardised(values.log())
    # A loss may be 0 or below it (float32; losses of other trainers): then its relative differences serve.
    return standardised(values / values.abs().mean().clamp_min(torch.finfo(torch.float64).tiny))


def standardised(evidence: torch.Tensor) -> torch.Tensor:
    """Return the rewards of evidence x, shape (K,): GAIN * (mean - x) / sqrt(var + NOISE^2)."""
    spread = (evidence.var(correction=0) + NOISE**2).sqrt()
    return GAIN * (evidence.mean() - evidence) / spread


def updated(
    scores: torch.Tensor, candidates: Sequence[Sequence[int]], reward: torch.Tensor, rate: float
) -> torch.Tensor:
    """Return the scores after one probe; `candidates` are the suppressed layers of each candidate."""
    slope = torch.sigmoid(scores) * torch.sigmoid(-scores)
    moved = scores.clone()
    for subset, value in zip(candidates, reward, strict=True):
        index = torch.tensor(subset)
        moved[index] -= rate * value * slope[index]
    return moved
