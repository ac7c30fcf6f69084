"""Policies: what they may say, and with what words the others are refused."""

import os
from pathlib import Path

import pytest

from gate_cases import POLICY, PROPERTIES, write
from glscert.verifier.errors import InputError
from glscert.verifier.gate import LabelledInputs, Limits, read_policy
from glscert.verifier.settings import Effort


def refused(tmp_path, text):
    path = write(tmp_path)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as error:
        read_policy(path)
    return str(error.value)


def test_all_of_it(tmp_path):
    text = (
        'complete = ["."]\nbeside = ".toml"\n[defaults]\ntimeout = 3\nmin_certified = 0.5\neps = "2/255"\nnorm = 2\n'
        '[[model]]\nfile = "model.onnx"\nimages = "0:2"\nrange = [0, 2]\nmemory = 64\nseed = 4\nrequired = false\n'
        '[[model]]\nfile = "model.onnx"\nname = "b"\neps = [0.1, 0]\nmin_certified = 1\nmax_lost = 2\n' + PROPERTIES
    )
    policy = read_policy(write(tmp_path, text))
    first, second, third = policy.entries
    assert (policy.complete, policy.beside, policy.root) == ((tmp_path,), (".toml",), tmp_path)
    assert first.ask == LabelledInputs(eps="2/255", images="0:2", norm="2", range="0.0,2.0")
    assert (first.effort.timeout, first.effort.memory, first.effort.seed) == (3, 64 * 2**20, 4)
    assert (first.name, first.line, first.required, first.limits) == ("model.onnx", 8, False, Limits(0.5))
    assert (second.name, second.ask.eps, second.limits) == ("b", "0.1,0.0", Limits(1.0, max_lost=2))
    assert third.ask == tmp_path / "properties"
    assert third.limits == Limits(max_falsified=0, max_unknown=0)  # of labelled inputs the defaults are not its
    assert (second.required, second.effort.timeout) == (True, 3)


MODEL = '[[model]]\nfile = "model.onnx"\nmin_natural = 0.5\n'


@pytest.mark.parametrize(
    ("text", "said"),
    (
        ("", "names no model"),
        ("[model]\nfile = 'model.onnx'", "in double brackets"),
        ("model = 3", "in double brackets"),
        ("model = [3]", "in double brackets"),
        ("defaults = 3\n" + MODEL, "a table [defaults]"),
        ("[[models]]\nfile = 'model.onnx'", "line 1: the policy: the key 'models' is not known; did you mean 'model'?"),
        ("[default]\neps = 1\n" + MODEL, "did you mean 'defaults'?"),
        (MODEL + "min_certifed = 0.9", "line 4: [[model]] 1: the key 'min_certifed' is not known; did you mean 'min_c"),
        (MODEL + "[[model]]\nnothing = 1", "line 5: [[model]] 2: the key 'nothing' is not known."),
        ("[defaults]\nfile = 'model.onnx'\n" + MODEL, "line 2: [defaults]: the key 'file' is not known"),
        (MODEL + "eps = true", "a radius such as 0.1"),
        (MODEL + "eps = -0.1", "a radius such as 0.1"),
        (MODEL + "eps = '-1/2'", "a radius such as 0.1"),
        (MODEL + "eps = 'inf'", "a radius such as 0.1"),
        ("complete = 'nowhere'\n" + MODEL, "line 1: the policy: complete = 'nowhere': give a folder that exists"),
        ("complete = 'model.onnx'\n" + MODEL, "a folder that exists"),
        ("beside = '/../data.npz'\n" + MODEL, "endings of file names"),
        (MODEL + "eps = nan", "a radius such as 0.1"),
        (MODEL + "eps = []", "a radius such as 0.1"),
        (MODEL + "eps = [[1]]", "a radius such as 0.1"),
        (MODEL + "eps = '1/0'", "a radius such as 0.1"),
        (MODEL + "eps = 1" + 400 * "0", "a radius such as 0.1"),
        (MODEL + "range = [0]", "the two ends"),
        (MODEL + "range = ['a', 'b']", "a finite number"),
        (MODEL + "norm = 3", "one of inf, 2, 1"),
        (MODEL + "norm = true", "one of inf, 2, 1"),
        (MODEL + "min_certified = 90", "a share from 0 to 1"),
        (MODEL + "min_certified = '0.9'", "a finite number"),
        (MODEL + "max_unknown = 1.5", "a whole number"),
        (MODEL + "max_unknown = -1", "a whole number"),
        (MODEL + "max_unknown = true", "a whole number"),
        (MODEL + "timeout = -1", "timeout = -1 must be finite and not negative"),
        (MODEL + "memory = 0", "greater than 0"),
        (MODEL + "required = 1", "true or false"),
        (MODEL + "images = 5", "printable characters"),
        (MODEL + 'label = "a\\u0000b"', "printable characters"),
        ("[[model]]\nfile = 'model.onnx'", "line 1: [[model]] model.onnx: it requires nothing"),
        ("[[model]]\nmin_natural = 1", "it has no file"),
        (MODEL + "[[model]]\nfile = 'model.onnx'\nmin_natural = 1", "asks of model.onnx more than once"),
        (MODEL + "properties = 'properties'", "goes with labelled inputs"),
        (MODEL.replace("model.onnx", ""), "printable characters"),
        (MODEL.replace("model.onnx", "/etc/passwd"), "is absolute"),
        (MODEL.replace("model.onnx", "C:\\\\model.onnx").replace("'", '"'), "is absolute"),
        (MODEL.replace("model.onnx", "../model.onnx"), "leads out of it"),
        (MODEL.replace("model.onnx", "properties/../../x.onnx"), "leads out of it"),
        (MODEL + "data_dir = '..'", "leads out of it"),
        ("complete = '../..'\n" + MODEL, "leads out of it"),
        (b"\x80\x02" + bytes(range(256)), "is not valid TOML"),
        (b"\x1f\x8b\x08", "damaged gzip"),
        ("x = " + 100_000 * "[", "nested too deeply"),
        ("x = " + 40_000 * "{a = ", "nested too deeply"),
        (100_000 * "a." + "a = 1", "more than 100 names"),
        (30_000 * '"a b".' + "a = 1", "more than 100 names"),
        (80_000 * "11." + "a = 1", "more than 100 names"),
        ("x = " + 6000 * "9", "is not valid TOML"),
        ("#" + 2**18 * " ", "holds more than 262144 bytes"),
        ("a = 1\na = 2", "is not valid TOML"),
    ),
)  # fmt: skip
def test_refused(tmp_path, text, said):
    assert said in refused(tmp_path, text)


ODD = (
    *("[]", "[[]]", "{}", "{a = 1}", "true", "nan", "-inf", "1e999", "0x" + 9000 * "f", "-1", "0", "''", '"\\u0000"'),
    *("1979-05-27", "07:32:00", f"'{5000 * 'a'}'", "'..'", "'a\\b'", "[1, 'a', true]", f"[{5000 * '0.1, '}]"),
    *("'~root'", "'$HOME'", "'file:///x'"),
)


@pytest.mark.parametrize("value", ODD)
def test_odd_values_are_refused_or_read_and_nothing_else(tmp_path, value):
    """Of every key, in every table."""
    path = write(tmp_path)
    known = [*LabelledInputs._fields, *Limits._fields, *Effort.__dataclass_fields__, "file", "name", "properties"]
    texts = [f"[[model]]\nfile = 'model.onnx'\n{key} = {value}\n" for key in known if key != "file"]
    texts += [f"[defaults]\n{key} = {value}\n" + MODEL for key in known]
    texts += [f"{key} = {value}\n" + MODEL for key in ("complete", "beside", "defaults", "x")]
    texts += [f"[[model]]\nfile = {value}\n", f"model = {value}\n", f"model = [{value}]\n", f"[[model]]\n{value} = 1"]
    for text in texts:
        path.write_text(text)
        try:
            read_policy(path)
        except InputError as error:
            assert len(str(error)) < 1500


def test_a_models_own_radius_takes_the_place_of_the_defaults(tmp_path):
    text = f"[defaults]\neps = 0.1\ntolerance = 0.2\n{MODEL}eps_file = 'data.npz'\nthreshold = 0\n"
    ask = read_policy(write(tmp_path, text)).entries[0].ask
    assert (ask.eps, ask.eps_file, ask.tolerance, ask.threshold) == (None, tmp_path / "data.npz", None, 0)


def test_no_policy(tmp_path):
    for path in (tmp_path, tmp_path / "none.toml", tmp_path / "a\0b", Path("/dev/zero")):
        with pytest.raises(InputError, match="there is no policy file"):
            read_policy(path)


def test_links_are_followed(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir(), folder.mkdir()
    path = write(folder)
    (outside / "model.onnx").write_bytes(b"")
    (folder / "away").symlink_to(outside)
    (folder / "round").symlink_to("round")
    for file in ("away/model.onnx", "round", "round/x.onnx"):
        path.write_text(POLICY.replace("model.onnx", file))
        with pytest.raises(InputError, match="leads out of it|leads nowhere"):
            read_policy(path)
    (folder / "near").symlink_to("model.onnx")
    path.write_text(POLICY.replace("model.onnx", "near"))
    assert read_policy(path).entries[0].file == folder / "near"


def test_up_to_the_repository(tmp_path):
    """Where a repository begins above, a policy may name what lies there."""
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "policies"
    folder.mkdir()
    path = write(folder, POLICY.replace('"data.npz"', '"../data.npz"'))
    policy = read_policy(path)
    assert policy.root == tmp_path
    assert policy.entries[0].ask.data == folder / ".." / "data.npz"
    path.write_text(POLICY.replace('"data.npz"', '"../../data.npz"'))
    with pytest.raises(InputError, match="leads out of it"):
        read_policy(path)


def test_paths_are_seen_from_the_policy(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    entry = read_policy(Path(os.path.relpath(tmp_path / "policy.toml"))).entries[0]
    assert entry.file == Path(tmp_path.name) / "model.onnx"


def test_no_line_is_told_where_texts_could_be_taken_for_keys(tmp_path):
    said = refused(tmp_path, 'beside = """\nfile = 3\n"""\n[[model]]\nfile = 3\n')
    assert "policy.toml: " in said
