"""What the verbs of the command line do, one module each, imported only when its verb runs."""
