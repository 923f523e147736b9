"""Analysing a million pictures: inputs, worker processes, results that survive an interruption."""

from fer_edge.bulk.predictor import BulkPredictor

__all__ = ["BulkPredictor"]
