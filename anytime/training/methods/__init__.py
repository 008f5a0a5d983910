"""Early-exit methods, a file per paper: modules over features, losses as functions, schedules as data."""

from anytime.training.methods.ensembles import RunningEnsemble
from anytime.training.methods.losses import ensembles_loss, heads_loss
from anytime.training.methods.schedules import BACKBONE, ENSEMBLES, HEADS, Schedule
from anytime.training.methods.sdn import Sdn
from anytime.training.methods.ztw import Ztw, ZtwExit, ZtwOptions

__all__ = [
    "BACKBONE",
    "ENSEMBLES",
    "HEADS",
    "RunningEnsemble",
    "Schedule",
    "Sdn",
    "Ztw",
    "ZtwExit",
    "ZtwOptions",
    "ensembles_loss",
    "heads_loss",
]
