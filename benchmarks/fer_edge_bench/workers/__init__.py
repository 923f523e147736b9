"""What runs in the fresh processes of a benchmark, one module for each scenario."""
