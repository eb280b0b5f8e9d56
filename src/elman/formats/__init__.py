"""Everything on disk: the model file, ARPA, PyTorch, ONNX, and the vocabularies of other programs."""
