"""The sizes beyond which a bundle is refused: generous for any real network, small enough to bound a hostile one."""

from __future__ import annotations

MANIFEST_BYTES = 16 * 1024**2
FILES = 4096
FILE_BYTES = 64 * 1024**3
GRAPH_BYTES = 2 * 1024**3
"""An ONNX protobuf cannot be larger; weights beyond it are external data."""
STAGES = 256
STATES = 4096
LABELS = 1_000_000
AXIS = 2**31
ROW_BYTES = 4 * 1024**3
"""One row of one tensor, at the largest sizes its axes allow."""
NAME_CHARS = 255
"""Of an input, a state, an ONNX tensor, a path."""
