"""From a traced potential to an ONNX graph: operators, lowering, recomputation."""
