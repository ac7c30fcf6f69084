"""Configurations: layers, files, and a sentence for every value that cannot be."""

import pytest

from glscert.trainer import METHODS, read_toml, resolve
from glscert.trainer.architectures import SOURCES
from glscert.verifier.errors import InputError


def test_later_layers_win_over_the_defaults_of_the_data_set():
    config = resolve({"dataset": "cifar10", "eps": 0.01, "seed": 3}, {"eps": 0.02})
    assert (config.dataset, config.eps, config.seed, config.batch, config.net) == ("cifar10", 0.02, 3, 128, "cnn3")
    assert resolve().dataset == "digits"


def test_defaults_of_a_method_that_is_named_are_the_papers():
    config = resolve({"dataset": "mnist", "method": "rgs"})
    assert (config.relaxation, config.warmup_relaxation, config.restarts, config.revive) == ("deeppoly", None, 1, 0)
    assert (config.epochs, config.batch, config.lr, config.lr_decay, config.grad_clip) == (70, 256, 5e-4, 0.2, 10)
    assert (config.robust_weight, config.fast_reg, config.init, config.eps) == (1, 0.5, "fast", 0.1)
    assert config.options == {"sigma": 1e-3, "decay": 0.4, "samples": 2, "antithetic": False}


def test_the_recipe_is_for_those_who_name_no_method():
    config = resolve({"dataset": "mnist"}, {"options": {"alpha": 0.9}})
    assert (config.method, config.relaxation, config.warmup_relaxation) == ("mtl-ibp", "deeppoly-ibp", "ibp")
    assert (config.options["alpha"], config.options["steps"], config.restarts) == (0.9, 4, 5)
    for dataset in SOURCES:
        other = resolve({"dataset": dataset, "relaxation": "crown-ibp", "restarts": 1})
        assert (other.method, other.relaxation, other.restarts) == ("mtl-ibp", "crown-ibp", 1)
        started = resolve({"dataset": dataset, "start": "runs/first"})
        assert (started.warmup_relaxation, started.restarts, started.revive) == (None, 1, 0)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"eps": -0.1}, r"eps = -0.1 must be greater than or equal to 0"),
        ({"eps": float("nan")}, "eps = nan must be a finite number"),
        ({"eps": "much"}, "eps = 'much' must be a valid number"),
        ({"net": "resnet"}, "'resnet' is not known .*cnn3-tiny"),
        ({"dataset": "imagenet"}, "'imagenet' is not known .*digits, mnist, cifar10"),
        ({"dataset": ["mnist"]}, "dataset = .* must be a valid string"),
        ({"method": "magic"}, "'magic' is not known .*grad, rgs"),
        ({"relaxation": "tight"}, "'tight' is not known .*deeppoly"),
        ({"epochs": 0}, "epochs = 0 must be greater"),
        ({"momentum": 0.9}, "momentum is not an option .*robust_weight"),
        ({"options": {"sigm": 1}}, "sigm is not an option"),
        ({"method": "rgs", "options": {"sigma": -1}}, "sigma = -1 must be greater"),
        ({"milestones": [0.5, 1.5]}, "fractions of the schedule"),
        ({"anneal_start": 0.5, "anneal_end": 0.2}, "anneal_end = 0.2 must not lie before anneal_start = 0.5"),
        ({"lr": 0}, "lr = 0 must be greater than 0"),
    ],
)
def test_a_bad_value_is_a_sentence(values, sentence):
    with pytest.raises(InputError, match=sentence):
        resolve(values)


def test_all_bad_values_are_named_at_once():
    with pytest.raises(InputError, match="eps = -1.*seed = -2"):
        resolve({"eps": -1, "seed": -2})


@pytest.mark.parametrize("method", METHODS)
def test_method_options_are_filled_in(method):
    assert resolve({"method": method}).options == METHODS[method].options().model_dump()


def test_relaxation_options_are_filled_in():
    assert resolve({"relaxation": "deeppoly"}).relaxation_options == {}
    given = resolve({"relaxation": "alpha-crown", "relaxation_options": {"steps": 4}}).relaxation_options
    assert given == {"steps": 4, "step_size": 0.5}


@pytest.mark.parametrize(
    "relaxation, options, sentence",
    [
        ("deeppoly", {"steps": 2}, "steps is not an option of the relaxation deeppoly .it has none."),
        ("alpha-crown", {"step": 2}, "step is not an option .* .its options: steps, step_size."),
        ("alpha-crown", {"steps": 0}, "steps = 0 must be a whole number from 1 to 1000"),
        ("alpha-crown", {"steps": 1.5}, "steps = 1.5 must be a whole number"),
        ("alpha-crown", {"steps": True}, "steps = True must be a whole number"),
        ("alpha-crown", {"step_size": "half"}, "step_size = 'half' must be a number from 0.0 to 1.0"),
    ],
)
def test_a_bad_relaxation_option_is_a_sentence(relaxation, options, sentence):
    with pytest.raises(InputError, match=sentence):
        resolve({"relaxation": relaxation, "relaxation_options": options})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("dataset", "eps"),
    [(name, eps) for name in SOURCES for eps in (1 / 255, 8 / 255, 0.3)],
)
def test_every_method_has_defaults_for_every_setting(method, dataset, eps):
    config = resolve({"method": method, "dataset": dataset, "eps": eps})
    assert METHODS[method].options(**config.options).model_dump() == config.options


def test_options_depend_on_the_setting_unless_they_are_given():
    small, large = (resolve({"method": "mtl-ibp", "dataset": "mnist", "eps": eps}).options for eps in (0.1, 0.3))
    assert (small["alpha"], small["steps"], large["alpha"], large["steps"]) == (0.02, 10, 0.5, 1)
    file = {"method": "mtl-ibp", "dataset": "mnist", "options": {"alpha": 0.3, "steps": 2}}
    given = resolve(file, {"eps": 0.3, "options": {"steps": 3}}).options
    assert (given["alpha"], given["steps"], given["restarts"]) == (0.3, 3, 3)


def test_toml(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('method = "rgs"\neps = 0.05\n[options]\nsigma = 0.01\n', encoding="utf-8")
    config = resolve(read_toml(path), {"seed": 4})
    assert (config.eps, config.options["sigma"], config.options["samples"], config.seed) == (0.05, 0.01, 2, 4)


def test_unusable_files(tmp_path):
    (tmp_path / "bad.toml").write_text("eps = = 1", encoding="utf-8")
    with pytest.raises(InputError, match="not valid TOML"):
        read_toml(tmp_path / "bad.toml")
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError, match="no configuration file"):
            read_toml(path)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(Exception, match="frozen"):
        resolve().eps = 1.0
