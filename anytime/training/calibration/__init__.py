"""What held-out traces say about a bundle: temperatures, what each exit is worth, and thresholds that hold a promise."""

from anytime.training.calibration.calibrate import calibrate, cheapest_policy, measure_exits, with_calibration
from anytime.training.calibration.held import Held, hold
from anytime.training.calibration.temperature import fit_temperature

__all__ = ["Held", "calibrate", "cheapest_policy", "fit_temperature", "hold", "measure_exits", "with_calibration"]
