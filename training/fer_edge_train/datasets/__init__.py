"""Readers of the published data sets, each in the layout its authors gave it. They need numpy alone."""

from fer_edge_train.datasets.arrays import FaceSet
from fer_edge_train.datasets.fer2013 import FER2013_LABELS, read_fer2013

__all__ = ["FER2013_LABELS", "FaceSet", "read_fer2013"]
