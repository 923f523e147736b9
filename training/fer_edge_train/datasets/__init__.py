"""Readers of the published data sets, each in the layout its authors gave it. They need numpy and OpenCV alone."""

from fer_edge_train.datasets.arrays import FaceSet
from fer_edge_train.datasets.fer2013 import FER2013_LABELS, read_fer2013
from fer_edge_train.datasets.reading import Dataset, ReadOptions, Skipped
from fer_edge_train.datasets.registry import DATASETS, read_dataset

__all__ = ["DATASETS", "FER2013_LABELS", "Dataset", "FaceSet", "ReadOptions", "Skipped", "read_dataset", "read_fer2013"]
