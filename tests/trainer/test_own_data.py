"""A user's own rows and images: what is trained on, with which radii, and a sentence for each file that is none."""

import numpy as np
import pytest
import torch

from glscert.trainer import METHODS, read_config, resolve, train
from glscert.trainer.setup import assemble, load_splits, prepare
from glscert.verifier.bounds import RELAXATIONS
from glscert.verifier.errors import InputError
from glscert.verifier.inputs import read_inputs
from glscert.verifier.ops import evaluate

X = np.random.default_rng(0).uniform(0, 1, (50, 3)).astype(np.float32)
Y = (X[:, 0] > 0.5).astype(np.int64)


@pytest.fixture
def rows(tmp_path):
    """A table of three columns, as rows.npz with radii 0.1, 0, 0.2."""

    def write(name="rows.npz", **changes):
        arrays = {"x": X, "y": Y, "eps": np.array([0.1, 0, 0.2])} | changes
        np.savez(tmp_path / name, **{key: value for key, value in arrays.items() if value is not None})
        return str(tmp_path / name)

    return write


def test_rows_are_held_out_by_the_seed_alone(rows):
    data = rows()
    first, again, other = (load_splits(resolve({"data": data, "seed": seed}), None) for seed in (1, 1, 2))
    assert len(first.test_x) == 10 and len(first.train_x) == 40
    everything = np.concatenate([first.train_x, first.test_x])
    assert np.array_equal(np.unique(everything, axis=0), np.unique(X, axis=0))
    assert np.array_equal(first.test_x, again.test_x) and not np.array_equal(first.test_x, other.test_x)
    assert np.array_equal(first.test_y, (first.test_x[:, 0] > 0.5))


def test_a_file_of_test_rows(rows):
    splits = load_splits(resolve({"data": rows(), "test_data": rows("test.npz", x=X[:4], y=Y[:4])}), None)
    assert len(splits.train_x) == 50 and np.array_equal(splits.test_x, X[:4])


@pytest.mark.parametrize("where", ["npz", "list", "file"])
def test_every_column_moves_by_its_own_radius(rows, tmp_path, where):
    (tmp_path / "eps.csv").write_text("eps,low,high\n0.1,0,1\n0,0,1\n0.2,0,1\n")
    stated = {
        "npz": {"data": rows()},
        "list": {"data": rows("bare.npz", eps=None), "eps": [0.1, 0, 0.2]},
        "file": {"data": rows("bare.npz", eps=None), "eps_file": str(tmp_path / "eps.csv")},
    }[where]
    config = resolve(stated)
    assert (config.eps, config.eps_columns) == (0.2, (0.1, 0.0, 0.2))
    setup = prepare(config, None)
    x = torch.tensor([[0.5, 0.5, 0.9]])
    for share in (1.0, 0.5):
        lower, upper = setup.objective.box(x, config.eps * share)
        torch.testing.assert_close(lower, torch.tensor([[0.5 - 0.1 * share, 0.5, 0.9 - 0.2 * share]]))
        torch.testing.assert_close(upper, torch.tensor([[0.5 + 0.1 * share, 0.5, min(1, 0.9 + 0.2 * share)]]))
    assert setup.metadata["eps"] == "0.1 0.0 0.2" and "dataset" not in setup.metadata


def table(path, header, columns):
    rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([*([",".join(header)] if header else []), *rows]))
    return str(path)


@pytest.mark.parametrize(
    ("header", "order", "values", "label"),
    (
        (("age", "sex", "label"), (0, 1, 2), {}, "label"),
        (("digit", "age", "sex"), (2, 0, 1), {}, "digit"),
        (("approved", "age", "sex"), (2, 0, 1), {"label": "approved"}, "approved"),
        (("approved", "age", "sex"), (2, 0, 1), {"label": "first"}, "approved"),
        ((), (2, 0, 1), {"label": "first"}, "first"),
        ((), (0, 1, 2), {}, "last"),
        ((), (0, 1, 2), {"label": "last"}, "last"),
    ),
)
def test_the_label_is_no_feature(tmp_path, header, order, values, label):
    """Whichever column it is: what is trained on are the others, and the configuration says which it was."""
    columns = [X[:, 0], np.round(3 * X[:, 1]), Y]
    path = table(tmp_path / "rows.csv", header, [columns[place] for place in order])
    config = resolve({"data": path, "eps": 0.1, "low": 0.0, "high": 3.0}, values)
    assert config.label == label
    splits = load_splits(config, None)
    x, y = np.concatenate([splits.train_x, splits.test_x]), np.concatenate([splits.train_y, splits.test_y])
    assert x.dtype == np.float32 and np.array_equal(np.unique(x[:, 0]), np.unique(X[:, 0]))
    assert np.array_equal(y, x[:, 0] > 0.5)
    assert splits.columns == (("age", "sex") if header else None)
    assert prepare(config, None).metadata.get("columns") == ('["age", "sex"]' if header else None)


@pytest.mark.parametrize(
    ("header", "columns", "values", "message"),
    (
        ((), (Y, X[:, 0], X[:, 1]), {}, "first column looks like the labels .* by --label first"),
        (("approved", "a", "b"), (Y, X[:, 0], 0 * Y), {}, r"first column \(approved\) looks like"),
        ((), (Y, X[:, 0], 1 - Y), {}, "both hold class numbers, counted from 0"),
        (("a", "b", "y"), (Y, X[:, 0], 1 - Y), {"label": "c"}, "no column 'c'"),
    ),
)
def test_a_label_in_doubt_is_asked_for(tmp_path, header, columns, values, message):
    with pytest.raises(InputError, match=message):
        resolve({"data": table(tmp_path / "rows.csv", header, columns), "eps": 0.1} | values)


def test_test_rows_have_the_columns_of_the_training_rows(tmp_path):
    header, columns = ("age", "kind", "sex"), (X[:, 0], Y, X[:, 1])
    data = table(tmp_path / "rows.csv", header, columns)
    few = [column[:1] for column in columns]  # from which the label could not be told
    stated = {"data": data, "label": "kind", "eps": 0.1}
    config = resolve({**stated, "test_data": table(tmp_path / "few.csv", header, few)})
    assert load_splits(config, None).test_y.tolist() == Y[:1].tolist()
    turned = table(tmp_path / "turned.csv", header[::-1], columns[::-1])
    with pytest.raises(InputError, match="are sex, age, those of .* age, sex"):
        load_splits(resolve({**stated, "test_data": turned}), None)


def test_a_label_without_a_table():
    for given in ({"dataset": "digits", "label": "first"}, {"label": "y"}):
        with pytest.raises(InputError, match="names a column of a .csv"):
            resolve(given)


def test_test_rows_without_training_rows():
    with pytest.raises(InputError, match="goes with data of your own"):
        resolve({"dataset": "digits", "test_data": "rows.npz"})


def test_images_with_their_channels_last(rows):
    images = rows(x=np.random.default_rng(1).uniform(0, 1, (50, 12, 12, 3)), eps=0.1)
    with pytest.raises(InputError, match=r"turn them by x.transpose\(0, 3, 1, 2\)"):
        resolve({"data": images})
    assert resolve({"data": images, "net": "mlp"}).net == "mlp"


def test_radii_go_by_the_names_of_columns(tmp_path):
    data = table(tmp_path / "rows.csv", ("age", "label", "sex"), (X[:, 0], Y, X[:, 1]))
    eps = tmp_path / "eps.csv"
    eps.write_text("column,eps,low,high\nsex,0,0,1\nage,0.25,-1,2\n")
    config = resolve({"data": data, "eps_file": str(eps)})
    assert (config.eps_columns, config.low, config.high) == ((0.25, 0.0), (-1.0, 0.0), (2.0, 1.0))
    eps.write_text("column,eps\nsex,0\nages,0.25\n")
    with pytest.raises(InputError, match="names ages, which .* lacks age"):
        resolve({"data": data, "eps_file": str(eps)})
    with pytest.raises(InputError, match="data have no header"):
        resolve({"dataset": "digits", "eps_file": str(eps)})


def test_later_layers_win_over_the_radii_of_earlier_ones(rows, tmp_path):
    (tmp_path / "eps.csv").write_text("eps\n0.1\n0\n0.2\n")
    data = rows()
    one = resolve({"data": data, "eps_file": str(tmp_path / "eps.csv")}, {"eps": 0.3})
    assert (one.eps, one.eps_columns) == (0.3, None)
    assert resolve({"data": data, "eps": 0.3}, {"eps_file": str(tmp_path / "eps.csv")}).eps == 0.2
    with pytest.raises(InputError, match="leave one out"):
        resolve({"data": data, "eps": 0.3, "eps_file": str(tmp_path / "eps.csv")})


def test_a_radius_for_every_pixel_of_a_known_data_set():
    config = resolve({"dataset": "digits", "eps": [0.1] * 63 + [0.0]})
    lower, upper = prepare(config, None).objective.box(torch.full((1, 1, 8, 8), 0.5), config.eps)
    assert (upper - lower > 0).sum() == 63 and lower[0, 0, 7, 7] == upper[0, 0, 7, 7]


def test_the_range_of_every_column(rows):
    low, high = np.array([-np.inf, 0.0, -1.0]), np.array([5.0, 1.0, np.inf])
    config = resolve({"data": rows(low=low, high=high)})
    assert (config.low, config.high) == ((None, 0.0, -1.0), (5.0, 1.0, None))
    setup = prepare(config, None)
    assert setup.metadata["input_range"] == "-inf 5.0 0.0 1.0 -1.0 inf"
    lower, upper = setup.objective.box(torch.tensor([[0.0, 0.0, -1.0]]), 0.2)
    assert lower[0, 2] == -1 and lower[0, 0] < 0 and upper[0, 2] > -0.9


def test_the_normalisation_stands_inside_the_network(rows):
    x = X * np.float32([100, 1, 0]) + np.float32([0, 5, 7])  # the last column never varies
    data = rows(x=x, low=0.0, high=200.0)
    setup, plain = (prepare(resolve({"data": data, "normalise": n, "net": "mlp"}), None) for n in (True, False))
    assert [node.op for node in setup.net.graph.nodes][:2] == ["Sub", "Div"]
    params = setup.initial_params()
    seen = (setup.train_x - setup.train_x.mean(0)) / torch.where(setup.train_x.std(0) > 1e-3, setup.train_x.std(0), 1.0)
    expected = evaluate(plain.net.graph, params, seen)
    found = evaluate(setup.net.graph, {**setup.objective.constants, **params}, setup.train_x)
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.05)  # torch divides by N - 1


def test_networks_for_tables_and_images(rows):
    assert resolve({"data": rows()}).net == "mlp"
    images = rows(x=np.random.default_rng(1).uniform(0, 1, (50, 2, 12, 12)), eps=0.1)
    assert resolve({"data": images}).net == "cnn3"
    assert prepare(resolve({"data": images}), None).net.graph.input_shape == (2, 12, 12)
    widths = prepare(resolve({"data": rows(), "hidden": [5, 7]}), None).net.parameters
    assert [shape for shape in widths.values() if len(shape) == 2] == [(5, 3), (7, 5), (2, 7)]
    for values, message in (
        ({"net": "cnn3"}, "cnn3 takes images"),
        ({"net": "cnn3", "hidden": [3]}, "hidden widths are those of the net mlp"),
    ):
        with pytest.raises(InputError, match=message):
            prepare(resolve({"data": rows()}, values), None)
    with pytest.raises(InputError, match="positive widths"):
        resolve({"data": rows(), "hidden": [3, 0]})


@pytest.mark.parametrize(
    ("changes", "values", "message"),
    [
        ({"eps": None}, {}, "no radius is stated"),
        ({"eps": np.ones(2)}, {}, "eps holds 2 numbers; the input has 3"),
        ({}, {"eps": [0.1, 0.2]}, "eps holds 2 numbers; the input has 3"),
        ({}, {"eps": ["a", 1]}, "must be a number, or a list"),
        ({}, {"dataset": "digits"}, "leave one out"),
        ({}, {"eps": 3}, "more than the range of the inputs"),
        ({}, {"test_data": "none.npz"}, "does not exist"),
        ({}, {"test_share": 0.001}, "too few to hold out"),
        ({"x": X + 1}, {}, "training inputs run from .* outside the valid range"),
        ({"y": Y + 1}, {}, r"are 1, 2; classes are numbered 0 … K - 1"),
        ({"y": Y * 0}, {}, "at least two"),
        ({"y": Y - 1}, {}, "classes are numbered"),
        ({"x": X[:, 0], "eps": 0.1}, {}, "one row of numbers per input"),
        ({"x": X[:0], "y": Y[:0]}, {}, "too few to hold out"),
        ({"low": 0.0}, {}, "state both"),
    ],
)
def test_a_bad_file_or_value_is_a_sentence(rows, changes, values, message):
    with pytest.raises(InputError, match=message):
        prepare(resolve({"data": rows(**changes)}, values), None)


def test_own_data_needs_a_file():
    with pytest.raises(InputError, match="names the file"):
        resolve({"dataset": "own"})


def test_held_out_rows_are_kept_in_the_run(rows, tmp_path):
    config = resolve({"data": rows(), "epochs": 1, "relaxation": "ibp", "hidden": [4]})
    train(tmp_path / "run", config, report=lambda news: None)
    assert read_config(tmp_path / "run") == config
    kept = read_inputs(tmp_path / "run" / "test.npz")
    assert np.array_equal(kept.x, load_splits(config, None).test_x)
    assert kept.region.eps.tolist() == [0.1, 0, 0.2] and (kept.region.low, kept.region.high) == (0, 1)


def test_a_network_that_is_given_takes_the_place_of_a_named_one(rows):
    config = resolve({"data": rows()})
    setup = prepare(config, None)
    assert assemble(config, setup.net, load_splits(config, None)).metadata == setup.metadata


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_on_rows_with_a_frozen_column(rows, tmp_path, method):
    """One that attacks, moves only what may move; none meets a division by a width of 0."""
    splits = {"net": "mlp", "hidden": [6, 5], "epochs": 2, "batch": 20, "anneal_end": 0.5}
    metrics = train(tmp_path / "run", resolve({"data": rows(), "method": method}, splits), report=lambda news: None)
    assert metrics["epoch"] == 2 and np.isfinite(metrics["train_loss"])


@pytest.mark.parametrize("relaxation", RELAXATIONS)
def test_every_relaxation_bounds_rows_with_a_frozen_column(rows, relaxation):
    setup = prepare(resolve({"data": rows(), "relaxation": relaxation, "hidden": [6, 5]}), None)
    params = {name: value.requires_grad_() for name, value in setup.initial_params().items()}
    x, y = setup.train_x[:8], setup.train_y[:8]
    bounds = setup.objective.bounds(params, x, y, setup.config.eps)
    slopes = torch.autograd.grad(bounds.lower.sum(), list(params.values()), materialize_grads=True)
    assert torch.isfinite(bounds.lower).all() and all(torch.isfinite(slope).all() for slope in slopes)
    box = setup.objective.box(x, setup.config.eps)
    for _ in range(30):
        point = box.lower + torch.rand_like(x) * (box.upper - box.lower)
        scores = setup.objective.scores(params, point).detach()
        margin = scores.gather(1, y[:, None]) - scores.gather(1, 1 - y[:, None])
        assert (margin >= bounds.lower.detach() - 1e-5).all()
