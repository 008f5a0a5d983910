"""What a bundle's exits buy, as a picture: accuracy over cost. From a manifest alone; the same manifest, the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence

from anytime.model_store import Manifest, build_flow

CURVE = "curve.svg"


def exit_costs(manifest: Manifest) -> list[float]:
    """Of each exit: the multiply-adds of a row that is stopped there, every head before it consulted, over ``macs_full``."""
    flow = build_flow(manifest)
    return [sum(node.macs for node in flow.nodes if node.stage <= exit) / flow.macs_full
            for exit in range(1, flow.exits + 1)]  # fmt: skip


def exit_shares_right(manifest: Manifest) -> tuple[str, Sequence[float]] | None:
    """(what it is, a share per exit): on test rows if they are told, else on calibration rows; ``None`` if nobody knows."""
    metrics, exits = manifest.provenance.metrics, range(1, manifest.exits + 1)
    for name, said in (("accuracy", "accuracy on test rows"), ("agreement", "agreement with the network on test rows")):
        shares = [metrics.get(f"test.{name}.exit-{exit}") for exit in exits]
        known = [one for one in shares if one is not None]
        if len(known) == len(shares):
            return said, known
    if manifest.calibration is not None and manifest.calibration.accuracy is not None:
        return "accuracy on calibration rows", manifest.calibration.accuracy
    return None


def draw_curve(manifest: Manifest) -> bytes | None:
    """An SVG file of the exits and, where there are any, the operating points; ``None`` where nobody knows a share."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    found = exit_shares_right(manifest)
    if found is None:
        return None
    said, shares = found
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": manifest.name, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(5.5, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(exit_costs(manifest), shares, "o-", color="#1f5fa8", label="exits")
        for exit, (cost, share) in enumerate(zip(exit_costs(manifest), shares, strict=True), start=1):
            axes.annotate(str(exit), (cost, share), textcoords="offset points", xytext=(4, -11))
        points = () if manifest.calibration is None else manifest.calibration.operating_points
        if points:
            axes.plot([one.cost for one in points], [one.accuracy for one in points], "x", color="#c4501b",
                      label="operating points, on calibration rows")  # fmt: skip
        axes.set(xlabel="mean multiply-adds, over those of full depth", ylabel=said, xlim=(0, None))
        axes.grid(visible=True, alpha=0.3)
        axes.legend(loc="lower right")
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None})
    return stream.getvalue()
