"""The same network behind other servers, each as its own documents would have it; installed apart from the project."""
