"""Measures detectors, classifiers and the whole pipeline, and writes down what was measured and how."""
