"""Six bundles that stress the contract, each with a reference in NumPy. ``BUNDLES`` lists their modules."""

from tests.bundles import cascade, eann, quantised, sequence, slices, ztw

BUNDLES = (ztw, cascade, slices, eann, sequence, quantised)

__all__ = ["BUNDLES", "cascade", "eann", "quantised", "sequence", "slices", "ztw"]
