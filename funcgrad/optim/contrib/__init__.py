"""Optimizers and transformations that Optax keeps in `optax.contrib`."""

from funcgrad.optim.contrib.adam_variants import (
    ScaleByAdemamixState as ScaleByAdemamixState,
    ScaleBySimplifiedAdEMAMixState as ScaleBySimplifiedAdEMAMixState,
    acprop as acprop,
    ademamix as ademamix,
    adopt as adopt,
    scale_by_acprop as scale_by_acprop,
    scale_by_ademamix as scale_by_ademamix,
    scale_by_adopt as scale_by_adopt,
    scale_by_simplified_ademamix as scale_by_simplified_ademamix,
    simplified_ademamix as simplified_ademamix,
)
from funcgrad.optim.contrib.betting import (
    COCOBState as COCOBState,
    MechanicState as MechanicState,
    cocob as cocob,
    mechanize as mechanize,
    scale_by_cocob as scale_by_cocob,
)
from funcgrad.optim.contrib.complex_parts import (
    SplitRealAndImaginaryState as SplitRealAndImaginaryState,
    split_real_and_imaginary as split_real_and_imaginary,
)
from funcgrad.optim.contrib.distances import (
    DAdaptAdamWState as DAdaptAdamWState,
    ProdigyState as ProdigyState,
    dadapt_adamw as dadapt_adamw,
    prodigy as prodigy,
)
from funcgrad.optim.contrib.dog import (
    DoGState as DoGState,
    DoWGState as DoWGState,
    dog as dog,
    dowg as dowg,
)
from funcgrad.optim.contrib.galore import (
    GaLoreState as GaLoreState,
    galore as galore,
    scale_by_galore as scale_by_galore,
)
from funcgrad.optim.contrib.madgrad import (
    MadgradState as MadgradState,
    madgrad as madgrad,
    scale_by_madgrad as scale_by_madgrad,
)
from funcgrad.optim.contrib.momo import (
    MomoAdamState as MomoAdamState,
    MomoState as MomoState,
    momo as momo,
    momo_adam as momo_adam,
)
from funcgrad.optim.contrib.muon import (
    MuonDimensionNumbers as MuonDimensionNumbers,
    MuonState as MuonState,
    muon as muon,
    scale_by_muon as scale_by_muon,
)
from funcgrad.optim.contrib.plateau import (
    ReduceLROnPlateauState as ReduceLROnPlateauState,
    reduce_on_plateau as reduce_on_plateau,
)
from funcgrad.optim.contrib.privacy import (
    DifferentiallyPrivateAggregateState as DifferentiallyPrivateAggregateState,
    differentially_private_aggregate as differentially_private_aggregate,
    dpsgd as dpsgd,
)
from funcgrad.optim.contrib.sam import SAMState as SAMState, normalize as normalize, sam as sam
from funcgrad.optim.contrib.schedule_free import (
    ScheduleFreeState as ScheduleFreeState,
    schedule_free as schedule_free,
    schedule_free_adamw as schedule_free_adamw,
    schedule_free_eval_params as schedule_free_eval_params,
    schedule_free_sgd as schedule_free_sgd,
)
from funcgrad.optim.contrib.sophia import (
    HutchinsonState as HutchinsonState,
    SophiaState as SophiaState,
    hutchinson_estimator_diag_hessian as hutchinson_estimator_diag_hessian,
    sophia as sophia,
)
