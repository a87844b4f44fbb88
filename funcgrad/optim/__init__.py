"""Optimizers and schedules, with the names and states of Optax."""

from funcgrad.optim.base import EmptyState, GradientTransformation, apply_updates, chain
from funcgrad.optim.masks import MaskedState, identity, masked, set_to_zero
from funcgrad.optim.moments import ScaleByAdamState, TraceState, scale_by_adam, trace
from funcgrad.optim.optimizers import adam, adamw, sgd
from funcgrad.optim.scaling import (
    ScaleByScheduleState,
    add_decayed_weights,
    clip,
    clip_by_global_norm,
    global_norm,
    scale,
    scale_by_learning_rate,
    scale_by_schedule,
)
from funcgrad.optim.schedules import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
    warmup_cosine_decay_schedule,
)
