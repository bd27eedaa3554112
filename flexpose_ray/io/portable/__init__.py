"""Networks for other places: to ONNX and TorchScript, and from state dicts that a training elsewhere left."""
