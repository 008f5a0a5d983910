"""Pictures to train on, without torch: official data sets and the user's own, cut, augmented, normalised, in batches."""

from anytime.training.data.augment import AUGMENTATIONS, Augmentation, augmentation_named
from anytime.training.data.batches import Batch, batches, count_batches, in_order
from anytime.training.data.data_set import DataSet, Split
from anytime.training.data.normalise import Normalisation
from anytime.training.data.read import ENTRIES, read_data

__all__ = [
    "AUGMENTATIONS",
    "ENTRIES",
    "Augmentation",
    "Batch",
    "DataSet",
    "Normalisation",
    "Split",
    "augmentation_named",
    "batches",
    "count_batches",
    "in_order",
    "read_data",
]
