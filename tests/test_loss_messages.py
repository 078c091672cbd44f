"""What losses say of bad input, and of themselves."""

import numpy as np
import pytest

from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HingeLoss,
    HomoscedasticGaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    Loss,
    MSELoss,
    MultiMarginLoss,
    NLLLoss,
    PoissonNLLLoss,
    QuantileLoss,
    SmoothL1Loss,
)

rng = np.random.default_rng(0)
Z, T = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
Y, SHARES, COUNTS = rng.uniform(size=(4, 3)), rng.uniform(size=(4, 3)), rng.integers(0, 6, (4, 3))
SIGNS = rng.choice([-1, 1], (4, 3))
Y[0, 0] = 0.7
COLUMN, ROW = np.zeros((4, 1)), np.zeros(4)
MESSAGES = [
    (
        lambda: MSELoss()(COLUMN, ROW),
        r"MSELoss\(mean\) expects target of shape \(4, 1\), got \(4,\): target\[\.\.\., np",
    ),
    (
        lambda: MSELoss()(ROW, COLUMN),
        r"expects target of shape \(4,\), got \(4, 1\): target\[\.\.\., 0\] has that shape",
    ),
    (lambda: MSELoss()(Z, T.T), r"got \(3, 4\): target.reshape\(4, 3\) has that shape, if the order is the same"),
    (lambda: MSELoss()(Z, 0.0), r"expects target of shape \(4, 3\), got \(\): one number for each of z"),
    (lambda: MSELoss()(Z, np.full((4, 3), np.inf)), r"expects finite numbers, got inf in target\[0, 0\]"),
    (lambda: MSELoss()(np.array(1.0), 1.0), r"expects z of shape \(batch, \.\.\.\), got \(\)"),
    (lambda: MSELoss()(Z, T, np.ones(3)), r"expects weights of shape \(4,\), got \(3,\)"),
    (lambda: MSELoss()(Z, T, np.ones((4, 1))), r"expects weights of shape \(4, 3\), got \(4, 1\)"),
    (lambda: MSELoss()(Z, T, np.zeros(4)), "but all weights are 0"),
    (lambda: MSELoss()(Z, T, -np.eye(4, 3)), r"expects weights of 0 or more, got -1\.0 in weights\[0, 0\]"),
    (lambda: MSELoss("batchmean"), r"MSELoss expects reduction in \('mean', 'sum', 'none'\), got 'batchmean'"),
    (
        lambda: BCELoss()(2 * Y + 1, SHARES),
        r"expects probabilities from 0 to 1, got .* in z\[0, 0\]: put Sigmoid below",
    ),
    (lambda: BCELoss()(np.full((4, 3), np.nan), SHARES), r"expects probabilities from 0 to 1, got nan in z\[0, 0\]"),
    (lambda: BCEWithLogitsLoss()(Z, SIGNS), r"from 0 to 1, got -1 in target.*: \(target \+ 1\) / 2 maps -1, 1 to 0, 1"),
    (lambda: BCEWithLogitsLoss()(Z, T + 9), r"expects target from 0 to 1, got .* in target\[0, 0\]"),
    (lambda: BCELoss(weight=[1, -1]), r"expects weight of 0 or more, got -1 in weight\[1\]"),
    (
        lambda: BCELoss(weight=[1, 2])(Y, SHARES),
        r"broadcasts to the shape of z, \(4, 3\), got \(2,\): one number for all",
    ),
    (
        lambda: BCEWithLogitsLoss(pos_weight=np.ones((5, 4, 3)))(Z, SHARES),
        r"pos_weight that broadcasts to the shape of z, \(4, 3\), got \(5, 4, 3\)",
    ),
    (lambda: HingeLoss()(Z, SIGNS > 0), r"labels -1 and \+1, got .* in target.*: 2 \* target - 1 maps 0, 1 to them"),
    (lambda: HingeLoss()(Z, 2 * SIGNS), r"labels -1 and \+1, got .*2 in target\[0, 0\]: it tells two classes apart"),
    (lambda: KLDivLoss()(Z, -SHARES), r"expects target of 0 or more, got -.*: log_target=True takes logarithms"),
    (lambda: PoissonNLLLoss()(Z, COUNTS - 9), r"expects target of 0 or more, got -.*: counts are not negative"),
    (lambda: PoissonNLLLoss(eps=-1), "expects eps to be a finite number of 0 or more, got -1"),
    (lambda: HuberLoss(delta=0), "HuberLoss expects delta to be a finite number above 0, got 0"),
    (lambda: MultiMarginLoss(margin=np.nan), "MultiMarginLoss expects margin to be a finite number, got nan"),
    (lambda: MultiMarginLoss(p=3), "MultiMarginLoss expects p to be 1 or 2, got 3"),
    (
        lambda: MultiMarginLoss()(Z[0], [0]),
        r"expects z of shape \(batch, classes\), got \(3,\): z\[np.newaxis, :\] is a batch of one",
    ),
    (lambda: MultiMarginLoss()(Z[:, :0], [0]), r"got \(4, 0\): a row for each observation"),
    (lambda: NLLLoss()(Z[0], 0), r"expects log_p of .*, got \(3,\): log_p\[np.newaxis, :\] is a batch of one"),
    (lambda: CrossEntropyLoss()(Z[:, :0], [0]), r"expects z of .*, got \(4, 0\): the last axis holds the classes"),
    (lambda: NLLLoss(class_weights=[1, 2])(Z, [0] * 4), "2 class weights, but log_p has 3 classes: it expects one we"),
    (lambda: MultiMarginLoss()(Z, [0, 1, 2, 3]), r"MultiMarginLoss\(mean, p=1, margin=1\) expects labels 0 \.\. 2"),
    (
        lambda: MultiMarginLoss("mean", [1, 2])(Z, [0] * 4),
        "has 2 class weights, but z has 3 classes: it expects one weight for each",
    ),
    (lambda: QuantileLoss(1.0), "QuantileLoss expects q between 0 and 1, one number or several, got 1.0"),
    (lambda: QuantileLoss([]), r"one number or several, got \[\]"),
    (lambda: QuantileLoss((0.1, 0.9))(Z, ROW), r"expects z of shape \(batch, \.\.\., 2\), got \(4, 3\): the last axis"),
    (lambda: QuantileLoss((0.1, 0.5, 0.9))(Z, T), r"expects target of shape \(4,\), got \(4, 3\)"),
    (lambda: GaussianNLLLoss()((Z, -Y), T), r"expects variances of 0 or more, got -0\.7 in z\[1\]\[0, 0\]: an exp"),
    (
        lambda: GaussianNLLLoss()((Z, Y[:1]), T),
        r"variance of the shape of the mean, \(4, 3\), or of 1 in its last axis",
    ),
    (lambda: GaussianNLLLoss()((Z, Y, Y), T), "expects z to be a tuple of 2 arrays, got 3"),
    (lambda: HomoscedasticGaussianNLLLoss(2)(Z, T), r"Loss\(2, mean\) expects z of shape \(batch, 2\), got \(4, 3\)"),
    (lambda: HomoscedasticGaussianNLLLoss(2)(Z, T), r"HomoscedasticGaussianNLLLoss\(3\) takes 3 features"),
    (lambda: HomoscedasticGaussianNLLLoss(2)(ROW, ROW), r"got \(4,\): the first axis is the batch, the last the feat"),
    (lambda: HomoscedasticGaussianNLLLoss(0), "expects features to be a positive integer, got 0"),
]


@pytest.mark.parametrize(("call", "message"), MESSAGES)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_messages_about_types():
    with pytest.raises(TypeError, match="SmoothL1Loss expects beta to be a number, got None"):
        SmoothL1Loss(beta=None)
    with pytest.raises(TypeError, match=r"expects target to be real numbers, got ndarray of <U1 .*: target.astype"):
        MSELoss()(ROW, np.array(list("abcd")))
    with pytest.raises(TypeError, match="expects target without a mask: give masked observations a weight of 0"):
        MSELoss()(ROW, np.ma.masked_array(ROW, ROW == 0))
    with pytest.raises(TypeError, match="expects z of a floating type, got int64"):
        MSELoss()(ROW.astype(int), ROW)
    with pytest.raises(TypeError, match=r"expects z to be a tuple of 2 arrays, got one array of shape \(4, 3\)"):
        GaussianNLLLoss()(Z, T)


def test_representations():
    losses = [
        (HuberLoss(delta=0.5), "HuberLoss(mean, delta=0.5)"),
        (SmoothL1Loss("sum"), "SmoothL1Loss(sum, beta=1)"),
        (QuantileLoss((0.1, 0.9)), "QuantileLoss(q=(0.1, 0.9), mean)"),
        (HingeLoss(squared=True), "HingeLoss(mean, squared)"),
        (KLDivLoss("batchmean", True), "KLDivLoss(batchmean, log_target)"),
        (PoissonNLLLoss(full=True), "PoissonNLLLoss(mean, of the log rate, full)"),
        (GaussianNLLLoss(full=True), "GaussianNLLLoss(mean, full)"),
        (HomoscedasticGaussianNLLLoss(3), "HomoscedasticGaussianNLLLoss(3, mean)"),
        (MultiMarginLoss("sum", [1, 2], 2), "MultiMarginLoss(sum, class_weights, p=2, margin=1)"),
    ]
    assert [repr(loss) for loss, _ in losses] == [text for _, text in losses]


def test_a_weight_for_each_row_may_fit_a_batch_that_is_not_known():
    loss = BCEWithLogitsLoss(weight=np.ones((4, 3)), pos_weight=np.ones((4, 1)))
    assert repr(loss.check((3,))) == "()"
    assert repr(BCELoss("none", weight=np.ones((4, 3))).check((3,))) == "(N, 3)"
    with pytest.raises(ValueError, match=r"expects weight that broadcasts to the shape of z, \(N, 5\), got \(4, 3\)"):
        loss.check((5,))
    with pytest.raises(ValueError, match=r"broadcasts to the shape of z, \(5, 3\), got \(4, 3\)"):
        loss(np.zeros((5, 3)), np.zeros((5, 3)))


def test_a_loss_of_a_user_gives_one_number_or_terms_of_a_shape_that_is_not_known():
    class Own(Loss):
        """Terms of which nothing is known."""

    assert Own("sum").output_shape((4, 3)) == ()
    assert Own("none").output_shape((4, 3)) is None
