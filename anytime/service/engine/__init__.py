"""Choose, run, settle: the engine below the routes. It knows no HTTP; above its runner nothing knows ONNX."""
