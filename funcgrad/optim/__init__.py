"""Optimizers, gradient transformations and schedules, with the names and states of Optax."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from funcgrad.nn.hints import unknown_name as _unknown_name
from funcgrad.optim import contrib, projections, tree
from funcgrad.optim.accumulation import (
    ApplyEvery,
    MultiSteps,
    MultiStepsState,
    apply_every,
    skip_large_updates,
    skip_not_finite,
)
from funcgrad.optim.adam_family import (
    ScaleByAmsgradState,
    ScaleByBeliefState,
    adabelief,
    adamax,
    adamaxw,
    amsgrad,
    scale_by_adamax,
    scale_by_amsgrad,
    scale_by_belief,
    scale_by_yogi,
    yogi,
)
from funcgrad.optim.backtracking import (
    BacktrackingLinesearchInfo,
    ScaleByBacktrackingLinesearchState,
    scale_by_backtracking_linesearch,
)
from funcgrad.optim.base import (
    EmptyState,
    GradientTransformation,
    apply_updates,
    chain,
    stateless,
)
from funcgrad.optim.clipping import (
    ZeroNansState,
    adaptive_grad_clip,
    clip_by_block_rms,
    keep_params_nonnegative,
    per_example_global_norm_clip,
    per_example_layer_norm_clip,
    zero_nans,
)
from funcgrad.optim.conditions import (
    ApplyIfFiniteState,
    ConditionallyMaskState,
    ConditionallyTransformState,
    apply_if_finite,
    conditionally_mask,
    conditionally_transform,
)
from funcgrad.optim.factored import (
    FactoredState,
    ScaleBySM3State,
    adafactor,
    scale_by_factored_rms,
    scale_by_sm3,
    sm3,
)
from funcgrad.optim.hyperparameters import (
    InjectHyperparamsState,
    inject_hyperparams,
    inject_stateful_hyperparams,
)
from funcgrad.optim.layerwise import (
    ScaleByNovogradState,
    centralize,
    fromage,
    lamb,
    lars,
    normalize_by_update_norm,
    novograd,
    scale_by_novograd,
    scale_by_param_block_norm,
    scale_by_param_block_rms,
    scale_by_trust_ratio,
)
from funcgrad.optim.lbfgs import (
    ScaleByLBFGSState,
    lbfgs,
    scale_by_lbfgs,
)
from funcgrad.optim.line import (
    value_and_grad_from_state,
)
from funcgrad.optim.lookahead import (
    LookaheadParams,
    LookaheadState,
    lookahead,
)
from funcgrad.optim.masks import (
    MaskedState,
    identity,
    masked,
    set_to_zero,
)
from funcgrad.optim.moments import (
    EmaState,
    ScaleByAdamState,
    TraceState,
    ema,
    scale_by_adam,
    trace,
)
from funcgrad.optim.monitoring import (
    MonitorState,
    SnapshotState,
    flatten,
    init_empty_state,
    measure_with_ema,
    monitor,
    snapshot,
    stateless_with_tree_map,
)
from funcgrad.optim.noise import (
    AddNoiseState,
    add_noise,
    noisy_sgd,
)
from funcgrad.optim.optimizers import (
    adam,
    adamw,
    nadam,
    nadamw,
    sgd,
)
from funcgrad.optim.partition import (
    PartitionState,
    freeze,
    multi_transform,
    named_chain,
    partition,
    selective_transform,
)
from funcgrad.optim.polyak import (
    ScaleByDistanceOverGradientsState,
    polyak_sgd,
    scale_by_distance_over_gradients,
    scale_by_polyak,
)
from funcgrad.optim.rectified import (
    ScaleByAdanState,
    ScaleByLionState,
    adan,
    lion,
    radam,
    scale_by_adan,
    scale_by_lion,
    scale_by_radam,
)
from funcgrad.optim.root_mean_square import (
    ScaleByAdaDeltaState,
    ScaleByRmsState,
    ScaleByRmsWithCountState,
    ScaleByRssState,
    ScaleByRStdDevState,
    ScaleByRStdDevWithCountState,
    adadelta,
    adagrad,
    rmsprop,
    scale_by_adadelta,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
)
from funcgrad.optim.scaling import (
    ScaleByScheduleState,
    WeightDecaySchedule,
    add_decayed_weights,
    clip,
    clip_by_global_norm,
    global_norm,
    scale,
    scale_by_learning_rate,
    scale_by_schedule,
)
from funcgrad.optim.schedule_families import (
    cosine_onecycle_schedule,
    linear_onecycle_schedule,
    piecewise_interpolate_schedule,
    sgdr_schedule,
    warmup_constant_schedule,
    warmup_exponential_decay_schedule,
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
from funcgrad.optim.signs import (
    ScaleByOptimisticGradientState,
    ScaleByRpropState,
    optimistic_adam,
    optimistic_adam_v2,
    optimistic_gradient_descent,
    rprop,
    scale_by_optimistic_gradient,
    scale_by_rprop,
    scale_by_sign,
    sign_sgd,
    signum,
)
from funcgrad.optim.targets import (
    incremental_update,
    periodic_update,
)
from funcgrad.optim.zoom import (
    ScaleByZoomLinesearchState,
    ZoomLinesearchInfo,
    scale_by_zoom_linesearch,
)

if not _TYPE_CHECKING:  # which would take every name as one that is there

    def __getattr__(name: str) -> object:
        instead = {
            "lr_scheduler": "Write a schedule in place of the learning rate: adam(cosine_decay_schedule(0.1, 1000)).",
            "Optimizer": "An optimizer is a GradientTransformation, a pair of functions init and update.",
        }
        if hasattr(contrib, name) and not name.startswith("_"):
            instead[name] = f"Write optim.contrib.{name}."
        elif name.lower() in globals():
            instead[name] = (
                f"Write optim.{name.lower()}(learning_rate): a pair of functions init and update."
            )
        raise AttributeError(_unknown_name("funcgrad.optim", name, globals(), instead))
