"""The same network behind other servers, each as its own documents would have it, in a virtual environment of the benchmark's own."""
