"""What is timed, family by family, each with its peers as their users would write them."""

from benchmarks.run import Workload
from benchmarks.workloads import (
    convolution,
    fits,
    hessian,
    observations,
    perceptron,
    prediction,
    regression,
    softmax,
)

WORKLOADS: list[Workload] = [
    *regression.WORKLOADS,
    *perceptron.WORKLOADS,
    *softmax.WORKLOADS,
    *convolution.WORKLOADS,
    *observations.WORKLOADS,
    *hessian.WORKLOADS,
    *fits.WORKLOADS,
    *prediction.WORKLOADS,
]
