"""The `saoma` command: what operators and engineers do without a console."""
