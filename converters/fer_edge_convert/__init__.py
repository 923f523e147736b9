"""From a trained float model to calibrated files for each engine, and to a bundle with what was measured."""
