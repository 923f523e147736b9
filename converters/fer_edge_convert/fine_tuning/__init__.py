"""Fine-tuning of a Keras classifier with int8's rounding simulated: the last resort where calibration does not do."""

from fer_edge_convert.fine_tuning.last_resort import FineTuned, check_can_be_fine_tuned, fine_tuned

__all__ = ["FineTuned", "check_can_be_fine_tuned", "fine_tuned"]
