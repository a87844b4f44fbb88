"""Optimizers, gradient transformations and schedules, with the names and states of Optax."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from funcgrad.nn import losses as _losses
from funcgrad.nn.hints import unknown_name as _unknown_name
from funcgrad.optim import contrib as contrib, projections as projections, tree as tree
from funcgrad.optim.accumulation import (
    ApplyEvery as ApplyEvery,
    MultiSteps as MultiSteps,
    MultiStepsState as MultiStepsState,
    apply_every as apply_every,
    skip_large_updates as skip_large_updates,
    skip_not_finite as skip_not_finite,
)
from funcgrad.optim.adam_family import (
    ScaleByAmsgradState as ScaleByAmsgradState,
    ScaleByBeliefState as ScaleByBeliefState,
    adabelief as adabelief,
    adamax as adamax,
    adamaxw as adamaxw,
    amsgrad as amsgrad,
    scale_by_adamax as scale_by_adamax,
    scale_by_amsgrad as scale_by_amsgrad,
    scale_by_belief as scale_by_belief,
    scale_by_yogi as scale_by_yogi,
    yogi as yogi,
)
from funcgrad.optim.backtracking import (
    BacktrackingLinesearchInfo as BacktrackingLinesearchInfo,
    ScaleByBacktrackingLinesearchState as ScaleByBacktrackingLinesearchState,
    scale_by_backtracking_linesearch as scale_by_backtracking_linesearch,
)
from funcgrad.optim.base import (
    EmptyState as EmptyState,
    GradientTransformation as GradientTransformation,
    apply_updates as apply_updates,
    chain as chain,
    stateless as stateless,
)
from funcgrad.optim.clipping import (
    ZeroNansState as ZeroNansState,
    adaptive_grad_clip as adaptive_grad_clip,
    clip_by_block_rms as clip_by_block_rms,
    keep_params_nonnegative as keep_params_nonnegative,
    per_example_global_norm_clip as per_example_global_norm_clip,
    per_example_layer_norm_clip as per_example_layer_norm_clip,
    zero_nans as zero_nans,
)
from funcgrad.optim.conditions import (
    ApplyIfFiniteState as ApplyIfFiniteState,
    ConditionallyMaskState as ConditionallyMaskState,
    ConditionallyTransformState as ConditionallyTransformState,
    apply_if_finite as apply_if_finite,
    conditionally_mask as conditionally_mask,
    conditionally_transform as conditionally_transform,
)
from funcgrad.optim.factored import (
    FactoredState as FactoredState,
    ScaleBySM3State as ScaleBySM3State,
    adafactor as adafactor,
    scale_by_factored_rms as scale_by_factored_rms,
    scale_by_sm3 as scale_by_sm3,
    sm3 as sm3,
)
from funcgrad.optim.foreign_names import IN_PYTORCH as _IN_PYTORCH
from funcgrad.optim.hyperparameters import (
    InjectHyperparamsState as InjectHyperparamsState,
    inject_hyperparams as inject_hyperparams,
    inject_stateful_hyperparams as inject_stateful_hyperparams,
)
from funcgrad.optim.layerwise import (
    ScaleByNovogradState as ScaleByNovogradState,
    centralize as centralize,
    fromage as fromage,
    lamb as lamb,
    lars as lars,
    normalize_by_update_norm as normalize_by_update_norm,
    novograd as novograd,
    scale_by_novograd as scale_by_novograd,
    scale_by_param_block_norm as scale_by_param_block_norm,
    scale_by_param_block_rms as scale_by_param_block_rms,
    scale_by_trust_ratio as scale_by_trust_ratio,
)
from funcgrad.optim.lbfgs import (
    ScaleByLBFGSState as ScaleByLBFGSState,
    lbfgs as lbfgs,
    scale_by_lbfgs as scale_by_lbfgs,
)
from funcgrad.optim.line import value_and_grad_from_state as value_and_grad_from_state
from funcgrad.optim.lookahead import (
    LookaheadParams as LookaheadParams,
    LookaheadState as LookaheadState,
    lookahead as lookahead,
)
from funcgrad.optim.masks import (
    MaskedState as MaskedState,
    identity as identity,
    masked as masked,
    set_to_zero as set_to_zero,
)
from funcgrad.optim.moments import (
    EmaState as EmaState,
    ScaleByAdamState as ScaleByAdamState,
    TraceState as TraceState,
    ema as ema,
    scale_by_adam as scale_by_adam,
    trace as trace,
)
from funcgrad.optim.monitoring import (
    MonitorState as MonitorState,
    SnapshotState as SnapshotState,
    flatten as flatten,
    init_empty_state as init_empty_state,
    measure_with_ema as measure_with_ema,
    monitor as monitor,
    snapshot as snapshot,
    stateless_with_tree_map as stateless_with_tree_map,
)
from funcgrad.optim.noise import (
    AddNoiseState as AddNoiseState,
    add_noise as add_noise,
    noisy_sgd as noisy_sgd,
)
from funcgrad.optim.optimizers import (
    adam as adam,
    adamw as adamw,
    nadam as nadam,
    nadamw as nadamw,
    sgd as sgd,
)
from funcgrad.optim.partition import (
    PartitionState as PartitionState,
    freeze as freeze,
    multi_transform as multi_transform,
    named_chain as named_chain,
    partition as partition,
    selective_transform as selective_transform,
)
from funcgrad.optim.polyak import (
    ScaleByDistanceOverGradientsState as ScaleByDistanceOverGradientsState,
    polyak_sgd as polyak_sgd,
    scale_by_distance_over_gradients as scale_by_distance_over_gradients,
    scale_by_polyak as scale_by_polyak,
)
from funcgrad.optim.rectified import (
    ScaleByAdanState as ScaleByAdanState,
    ScaleByLionState as ScaleByLionState,
    adan as adan,
    lion as lion,
    radam as radam,
    scale_by_adan as scale_by_adan,
    scale_by_lion as scale_by_lion,
    scale_by_radam as scale_by_radam,
)
from funcgrad.optim.root_mean_square import (
    ScaleByAdaDeltaState as ScaleByAdaDeltaState,
    ScaleByRmsState as ScaleByRmsState,
    ScaleByRmsWithCountState as ScaleByRmsWithCountState,
    ScaleByRssState as ScaleByRssState,
    ScaleByRStdDevState as ScaleByRStdDevState,
    ScaleByRStdDevWithCountState as ScaleByRStdDevWithCountState,
    adadelta as adadelta,
    adagrad as adagrad,
    rmsprop as rmsprop,
    scale_by_adadelta as scale_by_adadelta,
    scale_by_rms as scale_by_rms,
    scale_by_rss as scale_by_rss,
    scale_by_stddev as scale_by_stddev,
)
from funcgrad.optim.scaling import (
    ScaleByScheduleState as ScaleByScheduleState,
    WeightDecaySchedule as WeightDecaySchedule,
    add_decayed_weights as add_decayed_weights,
    clip as clip,
    clip_by_global_norm as clip_by_global_norm,
    global_norm as global_norm,
    scale as scale,
    scale_by_learning_rate as scale_by_learning_rate,
    scale_by_schedule as scale_by_schedule,
)
from funcgrad.optim.schedule_families import (
    cosine_onecycle_schedule as cosine_onecycle_schedule,
    linear_onecycle_schedule as linear_onecycle_schedule,
    piecewise_interpolate_schedule as piecewise_interpolate_schedule,
    sgdr_schedule as sgdr_schedule,
    warmup_constant_schedule as warmup_constant_schedule,
    warmup_exponential_decay_schedule as warmup_exponential_decay_schedule,
)
from funcgrad.optim.schedules import (
    constant_schedule as constant_schedule,
    cosine_decay_schedule as cosine_decay_schedule,
    exponential_decay as exponential_decay,
    join_schedules as join_schedules,
    linear_schedule as linear_schedule,
    piecewise_constant_schedule as piecewise_constant_schedule,
    polynomial_schedule as polynomial_schedule,
    warmup_cosine_decay_schedule as warmup_cosine_decay_schedule,
)
from funcgrad.optim.signs import (
    ScaleByOptimisticGradientState as ScaleByOptimisticGradientState,
    ScaleByRpropState as ScaleByRpropState,
    optimistic_adam as optimistic_adam,
    optimistic_adam_v2 as optimistic_adam_v2,
    optimistic_gradient_descent as optimistic_gradient_descent,
    rprop as rprop,
    scale_by_optimistic_gradient as scale_by_optimistic_gradient,
    scale_by_rprop as scale_by_rprop,
    scale_by_sign as scale_by_sign,
    sign_sgd as sign_sgd,
    signum as signum,
)
from funcgrad.optim.targets import (
    incremental_update as incremental_update,
    periodic_update as periodic_update,
)
from funcgrad.optim.zoom import (
    ScaleByZoomLinesearchState as ScaleByZoomLinesearchState,
    ZoomLinesearchInfo as ZoomLinesearchInfo,
    scale_by_zoom_linesearch as scale_by_zoom_linesearch,
)

if not _TYPE_CHECKING:  # which would take every name as one that is there

    def __getattr__(name: str) -> object:
        instead = dict(_IN_PYTORCH)
        if hasattr(contrib, name) and not name.startswith("_"):
            instead[name] = f"Write optim.contrib.{name}."
        elif hasattr(_losses, name) and not name.startswith("_"):
            instead[name] = f"Losses are in funcgrad.nn: write nn.losses.{name}."
        elif name not in instead and name.lower() in globals():
            instead[name] = (
                f"Write optim.{name.lower()}(learning_rate): a pair of functions init and update."
            )
        raise AttributeError(_unknown_name("funcgrad.optim", name, globals(), instead))
