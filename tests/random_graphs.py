"""Small random networks in the shapes that break bound code: odd kernels, strides and pads, groups, dilation,
residual sums, normalisation, a final ReLU, convolutions in a row without a ReLU between them."""

import numpy as np

from glscert.verifier.graph import Graph, Node


class Builder:
    """Appends nodes, draws their weights and keeps their shapes; every method returns the new value's name."""

    def __init__(self, shape, rng):
        self.rng, self.nodes, self.params, self.shapes = rng, [], {}, {"x": tuple(shape)}

    def _node(self, op, inputs, out, params=(), **attrs):
        name = f"{op}_{len(self.nodes)}"
        stored = []
        for k, array in enumerate(params):
            self.params[f"{name}.{k}"] = np.asarray(array, dtype=np.float64)
            stored.append(f"{name}.{k}")
        self.nodes.append(Node(op, name, tuple(inputs), f"{name}:0", tuple(stored), attrs))
        self.shapes[f"{name}:0"] = tuple(int(n) for n in out)
        return f"{name}:0"

    def conv(self, x, outs, kernel, stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1), group=1, bias=True):
        channels, *size = self.shapes[x]
        weight = self.rng.normal(size=(outs, channels // group, *kernel)) / np.sqrt(channels // group * np.prod(kernel))
        params = [1.5 * weight, *([0.3 * self.rng.normal(size=outs)] if bias else [])]
        reach = [dilation[d] * (kernel[d] - 1) + 1 for d in (0, 1)]
        out = [(size[d] + pads[d] + pads[d + 2] - reach[d]) // stride[d] + 1 for d in (0, 1)]
        return self._node("Conv", [x], (outs, *out), params, strides=stride, pads=pads, dilations=dilation, group=group)

    def gemm(self, x, outs, bias=True):
        (ins,) = self.shapes[x]
        params = [1.5 * self.rng.normal(size=(outs, ins)) / np.sqrt(ins)]
        return self._node("Gemm", [x], (outs,), params + ([0.3 * self.rng.normal(size=outs)] if bias else []))

    def relu(self, x):
        return self._node("Relu", [x], self.shapes[x])

    def unary(self, op, x):
        return self._node(op, [x], self.shapes[x])

    def conv_transpose(self, x, outs, kernel, stride=(1, 1), pads=(0, 0, 0, 0), dilation=(1, 1), group=1, extra=(0, 0)):
        channels, *size = self.shapes[x]
        weight = 1.5 * self.rng.normal(size=(channels, outs // group, *kernel)) / np.sqrt(channels * np.prod(kernel))
        reach = [dilation[d] * (kernel[d] - 1) + 1 for d in (0, 1)]
        out = [(size[d] - 1) * stride[d] + reach[d] + extra[d] - pads[d] - pads[d + 2] for d in (0, 1)]
        attrs = dict(strides=stride, pads=pads, dilations=dilation, group=group, extra=extra)
        return self._node("ConvTranspose", [x], (outs, *out), [weight, 0.3 * self.rng.normal(size=outs)], **attrs)

    def matmul(self, x, outs):
        weight = 1.5 * self.rng.normal(size=(outs, self.shapes[x][-1])) / np.sqrt(self.shapes[x][-1])
        return self._node("MatMul", [x], (*self.shapes[x][:-1], outs), [weight])

    def transpose(self, x, perm):
        return self._node("Transpose", [x], [self.shapes[x][axis] for axis in perm], perm=tuple(perm))

    def gather(self, x, axis, indices):
        shape = self.shapes[x]
        return self._node(
            "Gather", [x], (*shape[:axis], len(indices), *shape[axis + 1 :]), axis=axis, indices=tuple(indices)
        )

    def pad(self, x, pads):
        rank = len(self.shapes[x])
        out = [n + pads[axis] + pads[rank + axis] for axis, n in enumerate(self.shapes[x])]
        return self._node("Pad", [x], out, pads=tuple(pads))

    def reduce_sum(self, x, axes):
        out = [n for axis, n in enumerate(self.shapes[x]) if axis not in axes]
        return self._node("ReduceSum", [x], out, axes=tuple(axes))

    def constant(self, op, x, shape):
        """x op c with c of `shape`; magnitudes between 1/2 and 3/2, both signs."""
        c = self.rng.uniform(0.5, 1.5, size=shape) * self.rng.choice([-1.0, 1.0], size=shape)
        return self._node(op, [x], self.shapes[x], [c])

    def join(self, op, x, z):
        return self._node(op, [x, z], self.shapes[x])

    def flatten(self, x):
        return self._node("Flatten", [x], (int(np.prod(self.shapes[x])),))

    def reshape(self, x, shape):
        return self._node("Reshape", [x], shape, shape=tuple(shape))

    def finish(self, y):
        return Graph("x", y, tuple(self.nodes), self.shapes), self.params


def gemm_only(rng):
    b = Builder((7,), rng)
    x = b.relu(b.gemm("x", 9))
    x = b.relu(b.gemm(x, 6, bias=False))
    return b.finish(b.gemm(x, 4))


def affine_only(rng):
    b = Builder((2, 3, 4), rng)
    return b.finish(b.gemm(b.flatten(b.conv("x", 3, (2, 2))), 5))


def conv_chain(rng):
    """The paper's small nets in miniature: two strided convolutions, then one dense layer."""
    b = Builder((1, 9, 9), rng)
    x = b.relu(b.conv("x", 3, (5, 5), (2, 2), (2, 2, 2, 2)))
    x = b.relu(b.conv(x, 2, (4, 4), (2, 2), (1, 1, 1, 1)))
    return b.finish(b.gemm(b.flatten(x), 5))


def deep_convs(rng):
    """Receptive fields that grow past the image: the patches form has to become dense on the way."""
    b = Builder((2, 7, 6), rng)
    x = b.relu(b.conv("x", 3, (3, 3), (1, 1), (1, 1, 1, 1)))
    x = b.relu(b.conv(x, 2, (3, 3), (2, 2), (1, 1, 1, 1)))
    x = b.relu(b.conv(x, 3, (3, 2), (1, 1), (1, 0, 1, 1)))
    x = b.relu(b.gemm(b.flatten(x), 6))
    return b.finish(b.gemm(x, 3))


def odd_conv(rng):
    """Non-square images and kernels, unequal strides, pads that differ on all four sides."""
    b = Builder((2, 8, 5), rng)
    x = b.relu(b.conv("x", 3, (3, 2), (3, 1), (2, 0, 1, 1)))
    x = b.relu(b.conv(x, 2, (2, 3), (1, 2), (0, 1, 1, 0), bias=False))
    return b.finish(b.gemm(b.flatten(x), 4))


def skipped_pixels(rng):
    """Strides larger than the kernel and images that the stride does not divide."""
    b = Builder((1, 10, 8), rng)
    x = b.relu(b.conv("x", 2, (2, 2), (3, 3)))
    x = b.relu(b.conv(x, 3, (1, 1), (2, 2)))
    return b.finish(b.gemm(b.flatten(x), 3))


def padding_only(rng):
    """A kernel lower than its padding, moved further than the image is high: its outputs see padding alone."""
    b = Builder((1, 5, 4), rng)
    x = b.relu(b.conv("x", 2, (2, 2), (1, 1), (1, 1, 0, 0)))
    x = b.relu(b.conv(x, 2, (1, 3), (7, 1), (2, 1, 0, 1)))
    return b.finish(b.gemm(b.flatten(x), 3))


def padded_pointwise(rng):
    """A 1x1 convolution that pads: its output is larger than its input, and a border of it is the bias alone."""
    b = Builder((2, 5, 4), rng)
    x = b.relu(b.conv("x", 2, (2, 3), (2, 1), (1, 0, 0, 1)))
    x = b.relu(b.conv(x, 2, (1, 1), (1, 1), (1, 2, 0, 1)))
    return b.finish(b.gemm(b.flatten(x), 3))


def groups_and_dilation(rng):
    b = Builder((4, 7, 8), rng)
    x = b.relu(b.conv("x", 6, (3, 2), (1, 2), (1, 1, 1, 0), dilation=(2, 1), group=2))
    x = b.relu(b.conv(x, 6, (2, 2), dilation=(1, 2), group=6))
    return b.finish(b.gemm(b.flatten(x), 4))


def convs_in_a_row(rng):
    """No ReLU between two convolutions, and a padded one after a bias: padding must be zeros, not the bias."""
    b = Builder((1, 6, 7), rng)
    x = b.conv("x", 2, (3, 3), (1, 1), (1, 1, 1, 1))
    x = b.relu(b.conv(x, 3, (3, 3), (2, 2), (1, 1, 1, 1)))
    x = b.conv(x, 2, (2, 2), (1, 1), (1, 1, 0, 0))
    x = b.relu(b.conv(x, 2, (2, 2)))
    return b.finish(b.gemm(b.flatten(x), 4))


def normalised(rng):
    """Sub, Div and Mul per channel before a padded convolution, and an Add of a scalar and of a whole image after."""
    b = Builder((3, 5, 6), rng)
    x = b.constant("Sub", "x", (3, 1, 1))
    x = b.constant("Div", x, (3, 1, 1))
    x = b.constant("Mul", x, (1, 3, 1, 1)[1:])
    x = b.conv(x, 3, (3, 3), (2, 2), (1, 1, 1, 1))
    x = b.relu(b.constant("Add", x, ()))
    x = b.constant("Add", x, b.shapes[x])
    x = b.relu(b.constant("Mul", x, (1,)))
    x = b.constant("Mul", b.flatten(x), (b.shapes[x][0] * b.shapes[x][1] * b.shapes[x][2],))
    return b.finish(b.gemm(x, 4))


def residual(rng):
    """A block whose input returns unchanged, then one whose two branches differ and are subtracted."""
    b = Builder((2, 6, 6), rng)
    x = b.relu(b.conv("x", 3, (3, 3), (1, 1), (1, 1, 1, 1)))
    y = b.relu(b.conv(x, 3, (3, 3), (1, 1), (1, 1, 1, 1)))
    x = b.relu(b.join("Add", b.conv(y, 3, (3, 3), (1, 1), (1, 1, 1, 1)), x))
    left = b.conv(x, 2, (3, 3), (2, 2), (1, 1, 1, 1))
    right = b.conv(x, 2, (1, 1), (2, 2))
    x = b.relu(b.join("Sub", left, right))
    return b.finish(b.gemm(b.flatten(x), 4))


def dense_residual(rng):
    """The network's input itself is one of the branches."""
    b = Builder((6,), rng)
    x = b.relu(b.gemm("x", 6))
    x = b.join("Add", x, "x")
    y = b.relu(b.gemm(x, 5))
    return b.finish(b.join("Sub", b.gemm(y, 3), b.gemm(x, 3)))


def reshaped(rng):
    b = Builder((12,), rng)
    x = b.relu(b.conv(b.reshape("x", (2, 3, 2)), 3, (2, 2)))
    x = b.relu(b.gemm(b.reshape(x, (6,)), 8))
    x = b.relu(b.conv(b.reshape(x, (2, 2, 2)), 2, (2, 1)))
    return b.finish(b.gemm(b.flatten(x), 3))


def final_relu(rng):
    b = Builder((5,), rng)
    return b.finish(b.relu(b.gemm(b.relu(b.gemm("x", 6)), 4)))


def relu_on_input(rng):
    """A ReLU straight on the input, and one ReLU's output read by two nodes."""
    b = Builder((1, 4, 5), rng)
    x = b.relu(b.constant("Sub", b.relu("x"), (1, 4, 5)))
    y = b.relu(b.conv(x, 1, (3, 3), (1, 1), (1, 1, 1, 1)))
    return b.finish(b.gemm(b.flatten(b.join("Add", y, x)), 3))


def rearranged(rng):
    """Channels last, rows repeated and left out, borders, and sums over an axis."""
    b = Builder((5, 4, 2), rng)
    x = b.transpose("x", (2, 0, 1))
    x = b.relu(b.conv(b.gather(x, 1, (4, 0, 0, 2)), 3, (2, 2), pads=(0, 1, 1, 0)))
    x = b.conv(b.pad(x, (1, 0, 2, 0, 1, 0)), 2, (3, 2))
    x = b.relu(b.transpose(x, (0, 2, 1)))
    x = b.reduce_sum(x, (2,))
    return b.finish(b.gemm(b.relu(b.gemm(b.flatten(x), 5)), 3))


def branches(rng):
    """Parts of the input taken apart, then joined as a sum of padded parts."""
    b = Builder((6, 3), rng)
    left = b.relu(b.matmul(b.gather("x", 0, (0, 1, 2, 3)), 4))
    right = b.relu(b.gemm(b.flatten(b.gather("x", 0, (3, 5))), 4))
    right = b.pad(b.reshape(right, (1, 4)), (4, 0, 0, 0))
    x = b.join("Add", b.pad(left, (0, 0, 1, 0)), right)
    return b.finish(b.gemm(b.flatten(b.relu(b.matmul(x, 3))), 4))


def decoder(rng):
    """Transposed convolutions: grouped, dilated, strided, with rows to spare; and a repeated map."""
    b = Builder((6,), rng)
    x = b.relu(b.reshape(b.gemm("x", 12), (4, 1, 3)))
    x = b.relu(b.conv_transpose(x, 4, (3, 2), (2, 1), (1, 0, 0, 1), group=2, extra=(1, 0)))
    x = b.gather(b.gather(x, 1, (0, 0, 1, 1)), 2, (0, 0, 1, 1, 2, 2))
    x = b.relu(b.conv_transpose(x, 2, (2, 2), (1, 2), (0, 1, 1, 0), dilation=(2, 1)))
    return b.finish(b.gemm(b.flatten(x), 3))


def pooled(rng):
    """A mean and a maximum over windows, as convolutions of each channel by itself, and a leaky rectifier."""
    b = Builder((2, 8, 8), rng)
    x = b.relu(b.conv("x", 3, (3, 3), (1, 1), (1, 1, 1, 1)))
    ahead, base = (b.conv(x, 3, (1, 2), (1, 2), group=3, bias=False) for _ in range(2))
    x = b.join("Add", base, b.relu(ahead))
    x = b.conv(x, 3, (2, 2), (2, 2), (0, 0, 0, 0), group=3, bias=False)
    bend = b.constant("Mul", b.relu(x), ())
    x = b.relu(b.conv(b.join("Add", b.constant("Mul", x, ()), bend), 2, (2, 2)))
    return b.finish(b.gemm(b.flatten(x), 3))


def sigmoids(rng):
    """Curves that bend both ways, on values wide and narrow, after a convolution and after a dense layer."""
    b = Builder((1, 5, 5), rng)
    x = b.unary("Sigmoid", b.conv("x", 3, (3, 3), (1, 1), (1, 1, 1, 1)))
    x = b.unary("Sigmoid", b.constant("Mul", b.gemm(b.flatten(x), 6), (6,)))
    return b.finish(b.gemm(b.join("Add", x, b.relu(b.gemm(x, 6))), 3))


def bowls(rng):
    """Convex curves, one straight on the input, and one on a value that a ReLU made."""
    b = Builder((6,), rng)
    x = b.join("Sub", b.unary("Square", "x"), b.unary("Softplus", b.gemm("x", 6)))
    x = b.unary("Square", b.relu(b.gemm(x, 5)))
    return b.finish(b.gemm(b.unary("Softplus", x), 3))


def waves(rng):
    """Activations that are concave, convex and concave again, on values wide and narrow."""
    b = Builder((1, 4, 4), rng)
    x = b.unary("Silu", b.conv("x", 2, (3, 3), (1, 1), (1, 1, 1, 1)))
    x = b.unary("Gelu", b.constant("Mul", b.gemm(b.flatten(x), 5), (5,)))
    x = b.join("Add", b.unary("Mish", b.gemm(x, 4)), b.unary("GeluTanh", b.gemm(x, 4)))
    return b.finish(b.gemm(x, 3))


def steps(rng):
    """Activations that bend twice or are straight on one side, one of them straight on the input."""
    b = Builder((5,), rng)
    x = b.join("Add", b.unary("Elu", "x"), b.unary("Erf", b.gemm("x", 5)))
    return b.finish(b.gemm(b.unary("Softsign", b.gemm(b.unary("Elu", b.gemm(x, 5)), 4)), 3))


CURVED = {make.__name__: make for make in (sigmoids, bowls, waves, steps)}  # nonlinearities that no sign makes exact

GRAPHS = {
    make.__name__: make
    for make in (
        gemm_only,
        affine_only,
        conv_chain,
        deep_convs,
        odd_conv,
        skipped_pixels,
        padding_only,
        padded_pointwise,
        groups_and_dilation,
        convs_in_a_row,
        normalised,
        residual,
        dense_residual,
        reshaped,
        final_relu,
        relu_on_input,
        rearranged,
        branches,
        decoder,
        pooled,
    )
}


def arbitrary_convs(rng):
    """Any kernel, stride, pad, dilation, group and image that fit together, one to three convolutions deep."""
    b = Builder((int(rng.integers(1, 5)), *(int(n) for n in rng.integers(4, 9, size=2))), rng)
    x = "x"
    for _ in range(rng.integers(1, 4)):
        channels, *size = b.shapes[x]
        pads = tuple(int(n) for n in rng.integers(0, 3, size=4))
        padded = [size[d] + pads[d] + pads[d + 2] for d in (0, 1)]
        kernel = tuple(int(rng.integers(1, min(4, n) + 1)) for n in padded)
        dilation = tuple(int(rng.integers(1, 3)) if 2 * (k - 1) < n else 1 for k, n in zip(kernel, padded, strict=True))
        stride = tuple(int(n) for n in rng.integers(1, 4, size=2))
        group = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        outs = group * int(rng.integers(1, 3))
        x = b.conv(x, outs, kernel, stride, pads, dilation, group, bias=bool(rng.integers(2)))
        x = b.relu(x) if rng.integers(4) else x
    return b.finish(b.gemm(b.flatten(x), 3))
