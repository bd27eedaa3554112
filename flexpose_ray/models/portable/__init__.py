"""Networks as ONNX or TorchScript, and state dicts of trainings elsewhere."""
