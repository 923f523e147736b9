"""What is done to a data set before training: faces cut out, pictures cleaned, enhanced, and classes balanced.

Jin, Yang, Wei, "Lightweight Facial Emotion Recognition Network Based on Inception V3", section 4.2, names the steps.
"""
