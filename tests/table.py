"""The table of layers.  A new layer adds a line to the CASES of its family; every law of laws.py is tested for it."""

import cases_activations
import cases_containers
import cases_convolution
import cases_core
import cases_features
import cases_losses
import cases_normalization
import cases_sequences
import cases_structure

CASES = [
    *cases_core.CASES,
    *cases_containers.CASES,
    *cases_activations.CASES,
    *cases_features.CASES,
    *cases_structure.CASES,
    *cases_normalization.CASES,
    *cases_convolution.CASES,
    *cases_sequences.CASES,
    *cases_losses.CASES,
]
