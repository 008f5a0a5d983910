"""A trained ONNX network, cut where one tensor passes, as a bundle with an exit behind each cut. Trains no head."""

from anytime.training.attach.assemble import BASE_LOGITS, Attached, ExitHead, ExtraState, assemble
from anytime.training.attach.cuts import EXITS, Cut, choose_cuts, find_cuts
from anytime.training.attach.features import Chain, Features, Rows, Shrink, features, rows_of, rows_taken
from anytime.training.attach.inputs import Inputs, NetworkInput
from anytime.training.attach.masks import Mask, find_masks, mask_inputs
from anytime.training.attach.network import Network, describe_inputs, read_network
from anytime.training.attach.pieces import Piece, cut

__all__ = [
    "BASE_LOGITS",
    "EXITS",
    "Attached",
    "Chain",
    "Cut",
    "ExitHead",
    "ExtraState",
    "Features",
    "Inputs",
    "Mask",
    "Network",
    "NetworkInput",
    "Piece",
    "Rows",
    "Shrink",
    "assemble",
    "choose_cuts",
    "cut",
    "describe_inputs",
    "features",
    "find_cuts",
    "find_masks",
    "mask_inputs",
    "read_network",
    "rows_of",
    "rows_taken",
]
