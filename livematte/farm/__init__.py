"""Many files: on this computer, or on the machines of a cluster."""
