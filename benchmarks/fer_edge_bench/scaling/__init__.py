"""How far the pipeline is from what its arithmetic would take, and how its cost grows: `fer-edge bench scaling`."""
