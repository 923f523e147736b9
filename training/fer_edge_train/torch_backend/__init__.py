"""Training on torch without Keras' step: the network's graph is translated, trained, and its weights are copied back.

Keras on torch trains mini_XCEPTION at 2.2 ms per image on two cores; the same graph as torch modules on channels-last
tensors takes 0.7, and less in bfloat16 where the processor has it (`benchmarks/studies/training_step.py`).
"""

from fer_edge_train.torch_backend.layers import UntranslatableError
from fer_edge_train.torch_backend.network import TorchNetwork
from fer_edge_train.torch_backend.trainer import TorchTrainer

__all__ = ["TorchNetwork", "TorchTrainer", "UntranslatableError"]
