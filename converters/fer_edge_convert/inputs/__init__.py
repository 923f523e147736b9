"""What can be converted: a model folder of fer-edge, or a network that others saved."""

from fer_edge_convert.inputs.reading import SourceClassifier, SourceOptions, read_source

__all__ = ["SourceClassifier", "SourceOptions", "read_source"]
