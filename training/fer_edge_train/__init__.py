"""Training and evaluation of expression classifiers on a workstation: networks, data sets, recipes, reports."""
