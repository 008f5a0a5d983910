"""From the bytes of a request to checked tensors and a policy. Knows HTTP's bodies and the manifest, not the engine."""
