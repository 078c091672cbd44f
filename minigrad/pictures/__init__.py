"""Pictures: the layer cake as SVG, which needs nothing, and plots of training and results with matplotlib.

Plots take `ax`, the axes to draw on, which are best those of a figure that leaves room for what stands beside them:
`plt.subplots(layout="constrained")`.
"""

from minigrad.pictures.cake import LayerCake as LayerCake
from minigrad.pictures.cake import layer_cake
from minigrad.pictures.coefficients import coefficient_plot
from minigrad.pictures.curves import training_curves
from minigrad.pictures.flows import histograms
from minigrad.pictures.images import weight_images
from minigrad.pictures.regions import decision_regions
from minigrad.pictures.reliability import reliability_curve

__all__ = [
    "coefficient_plot",
    "decision_regions",
    "histograms",
    "layer_cake",
    "reliability_curve",
    "training_curves",
    "weight_images",
]
