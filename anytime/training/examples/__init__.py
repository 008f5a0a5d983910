"""Rows with what is known of them, as a network's inputs: from a data set, pictures, or arrays. Trains nothing."""

from anytime.training.examples.arrays import Arrays, load_arrays
from anytime.training.examples.examples import Examples, Part, gather, some
from anytime.training.examples.loose import read_loose
from anytime.training.examples.pictures import picture_examples
from anytime.training.examples.read import read_examples

__all__ = [
    "Arrays", "Examples", "Part", "gather", "load_arrays", "picture_examples", "read_examples", "read_loose", "some",
]  # fmt: skip
