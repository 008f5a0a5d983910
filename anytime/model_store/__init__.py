"""The bundle format, the store, the cost counter and pixel preprocessing. Knows no policy, no HTTP, no runtime."""

from anytime.model_store.build import write_bundle
from anytime.model_store.bundle import Bundle, open_bundle, read_manifest
from anytime.model_store.errors import BundleError, StoreError, Uncountable
from anytime.model_store.flow import Flow, Node, Slot, build_flow, indices
from anytime.model_store.macs import count_macs, count_params
from anytime.model_store.manifest import Manifest
from anytime.model_store.parse import parse_manifest
from anytime.model_store.pixels import PixelsError, preprocess
from anytime.model_store.store import Store

__all__ = [
    "Bundle",
    "BundleError",
    "Flow",
    "Manifest",
    "Node",
    "PixelsError",
    "Slot",
    "Store",
    "StoreError",
    "Uncountable",
    "build_flow",
    "count_macs",
    "count_params",
    "indices",
    "open_bundle",
    "parse_manifest",
    "preprocess",
    "read_manifest",
    "write_bundle",
]
