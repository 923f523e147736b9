"""Reports on a model: what an evaluation found, as Markdown and as one HTML page, with pictures."""
