"""Subcommands of `fer-edge` that this part registers."""
