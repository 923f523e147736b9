"""TFRecord files (paper D) without tensorflow: framing, tf.train.Example, and faces in them."""

from fer_edge_train.datasets.tfrecord.faces import read_tfrecords, write_tfrecords

__all__ = ["read_tfrecords", "write_tfrecords"]
