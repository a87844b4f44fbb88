"""Optimizers and transformations that Optax keeps in `optax.contrib`."""

from funcgrad.optim.contrib.adam_variants import (
    ScaleByAdemamixState,
    ScaleBySimplifiedAdEMAMixState,
    acprop,
    ademamix,
    adopt,
    scale_by_acprop,
    scale_by_ademamix,
    scale_by_adopt,
    scale_by_simplified_ademamix,
    simplified_ademamix,
)
from funcgrad.optim.contrib.betting import (
    COCOBState,
    MechanicState,
    cocob,
    mechanize,
    scale_by_cocob,
)
from funcgrad.optim.contrib.complex_parts import (
    SplitRealAndImaginaryState,
    split_real_and_imaginary,
)
from funcgrad.optim.contrib.distances import (
    DAdaptAdamWState,
    ProdigyState,
    dadapt_adamw,
    prodigy,
)
from funcgrad.optim.contrib.dog import DoGState, DoWGState, dog, dowg
from funcgrad.optim.contrib.galore import GaLoreState, galore, scale_by_galore
from funcgrad.optim.contrib.madgrad import MadgradState, madgrad, scale_by_madgrad
from funcgrad.optim.contrib.momo import MomoAdamState, MomoState, momo, momo_adam
from funcgrad.optim.contrib.muon import MuonDimensionNumbers, MuonState, muon, scale_by_muon
from funcgrad.optim.contrib.plateau import ReduceLROnPlateauState, reduce_on_plateau
from funcgrad.optim.contrib.privacy import (
    DifferentiallyPrivateAggregateState,
    differentially_private_aggregate,
    dpsgd,
)
from funcgrad.optim.contrib.sam import SAMState, normalize, sam
from funcgrad.optim.contrib.schedule_free import (
    ScheduleFreeState,
    schedule_free,
    schedule_free_adamw,
    schedule_free_eval_params,
    schedule_free_sgd,
)
from funcgrad.optim.contrib.sophia import (
    HutchinsonState,
    SophiaState,
    hutchinson_estimator_diag_hessian,
    sophia,
)
