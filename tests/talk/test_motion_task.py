"""Training the motion network: clips in, weights out that the pipeline could load."""

from pathlib import Path

import numpy as np
import pytest
import torch

from facegen.errors import InputError
from facegen.talk.motion import MotionModel
from facegen.talk.motion_network import MotionNet, MotionNetConfig
from facegen.talk.motion_task import MotionData, MotionTask, _Example, _sentence_example, correlation
from facegen.talk.phones import GROUPS, one_hot, recognise_phones
from facegen.talk.rig import RIG_SIZE, load_rig
from facegen.talk.sentences import Sentence
from facegen.talk.speech import FEATURES, extract_speech
from facegen.training.task import BatchSpec
from tests.talk.sounds import babble


@pytest.fixture
def data() -> MotionData:
    random = np.random.default_rng(0)
    examples = []
    for number in range(3):
        features = torch.from_numpy(random.normal(size=(FEATURES, 240)).astype(np.float32))
        gap = features[3, ::2].numpy()
        numbers = torch.from_numpy(np.outer(load_rig().opening, gap).astype(np.float32))
        examples.append(_Example(name=str(number), features=features, coefficients=numbers, gap=gap, loudness=gap))
    return MotionData(examples, examples[:1], load_rig(), 60, torch.device("cpu"))


def _spec(step: int) -> BatchSpec:
    generator = torch.Generator().manual_seed(step)
    return BatchSpec(indices=torch.tensor([0, 1, 2]), generator=generator, step=step, progress=0.0)


def test_batches_follow_from_the_spec(data: MotionData) -> None:
    first, again, other = (data.batch(_spec(step)) for step in (1, 1, 2))
    assert first["features"].shape == (3, FEATURES, 120)
    assert first["coefficients"].shape == (3, RIG_SIZE, 60)
    assert torch.equal(first["features"], again["features"])
    assert not torch.equal(first["features"], other["features"])


def test_one_in_five_of_a_batch_is_a_sentence(data: MotionData) -> None:
    silent = torch.zeros(FEATURES, 240)
    nothing = np.zeros(120, np.float32)
    data.sentences = [
        _Example(name="", features=silent, coefficients=torch.zeros(RIG_SIZE, 120), gap=nothing, loudness=nothing)
    ]
    spec = BatchSpec(indices=torch.arange(10) % 3, generator=torch.Generator().manual_seed(0), step=0, progress=0.0)
    moving = data.batch(spec)["coefficients"].abs().amax((1, 2)) > 0
    assert [place for place in range(10) if not moving[place]] == [4, 9]


def test_steps_bring_the_loss_down_and_the_weights_can_be_read_back(data: MotionData, tmp_path: Path) -> None:
    task = MotionTask()
    torch.manual_seed(0)
    model = task.build_model().train()
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    totals = []
    for _ in range(25):
        loss = sum(task.losses(model, data.batch(_spec(3)), progress=0.0, group=0).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        totals.append(float(loss.detach()))
    assert totals[-1] < totals[0] * 0.6
    measures = task.measure(model, data)
    assert set(measures) == {
        *("lip_error", "lip_correlation", "loudness_correlation"),
        *("closed_recall", "closed_precision"),
    }
    assert all(0 <= measures[name] <= 1 for name in ("closed_recall", "closed_precision"))
    picture = task.preview(model, data)
    assert picture is not None
    assert picture.shape[2] == 3
    from safetensors.torch import load_file

    files = task.export(model, tmp_path)
    fresh = task.build_model()
    fresh.load_state_dict({name: value.float() for name, value in load_file(files["weights"]).items()})


def test_a_sentence_moves_as_its_teacher_says_where_lips_need_not_close() -> None:
    sentence = Sentence(speech=extract_speech([babble(1.2)]), phones=((0.0, "pau"), (0.4, "m"), (0.6, "ah")))
    torch.manual_seed(0)
    teacher = MotionModel(MotionNet(MotionNetConfig(width=16, dilations=(1, 2))))
    numbers = _sentence_example(sentence, teacher, load_rig()).coefficients.numpy()
    is_free = sentence.lip_closures(numbers.shape[1]) == 0
    assert 0 < is_free.sum() < len(is_free)
    predicted = teacher.predict(sentence.speech).T[:, : numbers.shape[1]]
    np.testing.assert_allclose(numbers[:, is_free], predicted[:, is_free], atol=1e-5)


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        MotionTask().build_data(tmp_path, torch.device("cpu"))
    with pytest.raises(InputError, match="hold back"):
        MotionTask(held_back=("nobody",)).build_data(tmp_path, torch.device("cpu"))


def test_phones_are_heard_in_a_voice_and_not_in_silence() -> None:
    assert (recognise_phones(np.zeros(16000, np.float32), 100) == len(GROUPS) - 1).all()
    heard = recognise_phones(babble(2), 200)
    assert heard.shape == (200,)
    assert len(set(heard.tolist())) > 1
    assert one_hot(heard).sum() == 200
    assert np.array_equal(heard, recognise_phones(babble(2), 200))


def test_what_does_not_move_does_not_correlate() -> None:
    assert correlation(np.ones(5), np.arange(5.0)) == 0
    assert correlation(np.arange(5.0), np.arange(5.0)) == pytest.approx(1)
