"""Subcommands of `fer-edge` that the runtime registers."""
