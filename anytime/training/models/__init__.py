"""Networks as rows of blocks, a file per family, the heads of exits, and what both cost."""

from anytime.training.models.backbone import Backbone, Shape
from anytime.training.models.count import Count, count, count_blocks
from anytime.training.models.frozen import Frozen
from anytime.training.models.heads import Head, HeadOptions, make_head
from anytime.training.models.places import SDN_SHARES, check_places, every_place, places_by_share
from anytime.training.models.registry import BACKBONES, backbone_options, make_backbone

__all__ = [
    "BACKBONES",
    "SDN_SHARES",
    "Backbone",
    "Count",
    "Frozen",
    "Head",
    "HeadOptions",
    "Shape",
    "backbone_options",
    "check_places",
    "count",
    "count_blocks",
    "every_place",
    "make_backbone",
    "make_head",
    "places_by_share",
]
