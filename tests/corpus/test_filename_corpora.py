from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from emofuse.core.errors import CorpusError
from emofuse.core.labels import EMOTIONS, LABEL_SETS, emotions_of
from emofuse.corpus import crema_d, emo_db, nemo, savee, tess
from emofuse.corpus.corpus import Corpus
from emofuse.corpus.filename_corpora import NamedFile
from emofuse.corpus.load import KNOWN_NAMES, known_names, load_corpora, load_corpus
from emofuse.corpus.ravdess import read_ravdess


@dataclass(frozen=True)
class Case:
    """A folder as the corpus is published, and what every reader must return for it."""

    read: Callable[[str | Path], Corpus]
    name: str
    files: tuple[str, ...]
    n_clips: int
    takes: tuple[tuple[str, str, str | None], ...]
    """Take, speaker, emotion."""
    misnamed: tuple[str, ...]
    licence: str


CASES = {
    "ravdess": Case(
        read_ravdess, "RAVDESS",
        ("Actor_12/03-01-06-02-01-02-12.wav", "Actor_12/01-01-06-02-01-02-12.mp4",
         "Actor_01/03-01-01-01-01-01-01.wav", "03-01-09-01-01-01-01.wav"),
        3,
        (("01-01-01-01-01-01", "01", "neutral"), ("01-06-02-01-02-12", "12", "fearful")),
        ("03-01-09-01-01-01-01.wav",), "CC BY-NC-SA 4.0",
    ),
    "crema-d": Case(
        crema_d.read_crema_d, "CREMA-D",
        ("AudioWAV/1091_WSI_SAD_HI.wav", "AudioWAV/1001_DFA_ANG_XX.wav", "VideoFlash/1001_DFA_ANG_XX.flv",
         "AudioMP3/1001_DFA_ANG_XX.mp3", "AudioWAV/1040_ITH_SAD_X.wav", "AudioWAV/1002_IEO_JOY_LO.wav",
         "README.md"),
        4,
        (("1001_DFA_ANG_XX", "1001", "angry"), ("1040_ITH_SAD_X", "1040", "sad"),
         ("1091_WSI_SAD_HI", "1091", "sad")),
        ("1002_IEO_JOY_LO.wav",), "ODbL 1.0 (database), DbCL 1.0 (contents)",
    ),
    "savee": Case(
        savee.read_savee, "SAVEE",
        ("AudioData/JK/su15.wav", "AudioData/DC/a01.wav", "AudioVisualClip/DC/a01.avi", "ALL/KL_n30.wav",
         "AudioData/DC/a16.wav"),
        4,
        (("DC_a01", "DC", "angry"), ("JK_su15", "JK", "surprised"), ("KL_n30", "KL", "neutral")),
        ("a16.wav",), "research use, on request (check before use)",
    ),
    "tess": Case(
        tess.read_tess, "TESS",
        ("YAF_pleasant_surprised/YAF_back_ps.wav", "OAF_angry/OAF_back_angry.wav",
         "OAF_neutral/OA_bite_neutral.wav", "OAF_angry/OAF_back_cross.wav"),
        3,
        (("OAF_back_angry", "OAF", "angry"), ("OAF_bite_neutral", "OAF", "neutral"),
         ("YAF_back_ps", "YAF", "surprised")),
        ("OAF_back_cross.wav",), "CC BY-NC-ND 4.0 (check before use)",
    ),
    "emo-db": Case(
        emo_db.read_emo_db, "EMO-DB",
        ("wav/16b10Lb.wav", "wav/03a01Fa.wav", "wav/08b09Ac.wav", "wav/03a01Xa.wav"),
        3,
        (("03a01Fa", "03", "happy"), ("08b09Ac", "08", "fearful"), ("16b10Lb", "16", None)),
        ("03a01Xa.wav",), "free for research (check before use)",
    ),
    "nemo": Case(
        nemo.read_nemo, "nEMO",
        ("samples/SM0_surprised_90.wav", "EB0_anger_11.opus", "XY9_neutral_3.wav", "EB0_disgust_11.wav"),
        3,
        (("EB0_anger_11", "EB0", "angry"), ("SM0_surprised_90", "SM0", "surprised"),
         ("XY9_neutral_3", "XY9", "neutral")),
        ("EB0_disgust_11.wav",), "CC BY-NC-SA 4.0",
    ),
}  # fmt: skip


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def test_contract_of_every_reader(case: Case, tmp_path: Path) -> None:
    touch(tmp_path, *case.files)
    corpus = case.read(tmp_path)
    assert (corpus.name, corpus.licence, len(corpus.clips)) == (case.name, case.licence, case.n_clips)
    takes = corpus.takes()
    assert tuple((take.take, take.speaker, take.emotion) for take in takes) == case.takes
    assert len({take.take for take in takes}) == len(takes)
    assert len({(clip.take, clip.modality) for clip in corpus.clips}) == len(corpus.clips)
    assert len({clip.clip_id for clip in corpus.clips}) == len(corpus.clips)
    assert all(clip.speaker and clip.path.is_file() for clip in corpus.clips)
    assert all(clip.emotion is None or clip.emotion in EMOTIONS for clip in corpus.clips)
    assert tuple(path.name for path in corpus.misnamed) == case.misnamed
    assert corpus.duplicate_names == ()
    assert load_corpus(tmp_path) == corpus
    assert load_corpus(tmp_path, corpus=case.name.upper().replace("-", "")) == corpus


def test_every_reader_says_where_its_corpus_comes_from(case: Case, tmp_path: Path) -> None:
    naming = known_names(case.name)
    touch(tmp_path, *case.files)
    corpus = naming.read(tmp_path)
    assert corpus.emotions == emotions_of(naming.labels)
    assert set(LABEL_SETS[naming.labels].values()) >= set(corpus.emotions)
    assert naming.licence == corpus.licence
    assert naming.address.startswith(("http://", "https://"))
    assert any(f"({year})" in naming.citation for year in range(2000, 2030))
    assert 2 <= len(corpus.speakers) <= naming.n_speakers
    assert len(naming.traps) >= 3
    assert all(trap.endswith(".") and len(trap) > 20 for trap in naming.traps)
    named = naming.parse(Path(naming.example))
    assert named.label in LABEL_SETS[naming.labels]
    touch(tmp_path / "example", naming.example)
    assert naming.read(tmp_path / "example").takes()[0].take == named.take


def test_all_known_names_have_a_case() -> None:
    assert {case.name for case in CASES.values()} == {naming.corpus for naming in KNOWN_NAMES}


def test_names_of_another_corpus_are_refused_with_the_reason(case: Case, tmp_path: Path) -> None:
    touch(tmp_path, *case.files)
    other = next(naming for naming in KNOWN_NAMES if naming.corpus != case.name)
    with pytest.raises(CorpusError) as caught:
        load_corpus(tmp_path, corpus=other.corpus)
    assert f"no file has a name of {other.corpus}, such as {other.example}" in str(caught.value)
    with pytest.raises(CorpusError, match="no corpus is known as 'IEMOCAP': use one of RAVDESS, CREMA-D"):
        load_corpus(tmp_path, corpus="IEMOCAP")


def test_a_forced_corpus_is_one_of_several_in_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a/1001_DFA_ANG_XX.wav", "b/03a01Fa.wav", "b/08a01Na.wav")
    corpus = load_corpus(tmp_path, corpus="emo-db")
    assert (corpus.name, corpus.speakers) == ("EMO-DB", ("03", "08"))
    assert [path.name for path in corpus.misnamed] == ["1001_DFA_ANG_XX.wav"]


def test_a_forced_table_is_read_in_place_of_names(tmp_path: Path) -> None:
    touch(tmp_path / "mine", "03a01Fa.wav", "08a01Na.wav")
    (tmp_path / "mine/clips.csv").write_text("path,emotion,speaker\n03a01Fa.wav,sad,x\n08a01Na.wav,calm,y\n")
    assert load_corpus(tmp_path / "mine").name == "EMO-DB"
    corpus = load_corpus(tmp_path / "mine", corpus="table")
    assert (corpus.name, corpus.speakers) == ("mine", ("x", "y"))
    (tmp_path / "mine/clips.csv").unlink()
    with pytest.raises(CorpusError, match=r"clips\.csv: no such folder or table"):
        load_corpus(tmp_path / "mine", corpus="table")


def test_names_are_forced_once_for_all_or_once_for_each(tmp_path: Path) -> None:
    touch(tmp_path, "a/1001_DFA_ANG_XX.wav", "a/03a01Fa.wav", "b/1002_DFA_ANG_XX.wav", "b/08a01Fa.wav")
    folders = [tmp_path / "a", tmp_path / "b"]
    joined = load_corpora(folders, corpora=["crema-d", "EMO-DB"])
    assert joined.speakers == ("CREMA-D:1001", "EMO-DB:08")
    with pytest.raises(CorpusError, match="two corpora are called CREMA-D"):
        load_corpora(folders, corpora=["CREMA-D"])
    with pytest.raises(CorpusError, match="given 3 times for 2 corpora"):
        load_corpora(folders, corpora=["nemo"] * 3)


def test_the_order_depends_on_names_only(case: Case, tmp_path: Path) -> None:
    touch(tmp_path / "one", *case.files)
    touch(tmp_path / "two", *reversed(case.files))
    one, two = case.read(tmp_path / "one"), case.read(tmp_path / "two")
    assert [clip.clip_id for clip in one.clips] == [clip.clip_id for clip in two.clips]
    assert [(clip.path.name, clip.facts) for clip in one.clips] == [
        (clip.path.name, clip.facts) for clip in two.clips
    ]


def test_a_second_file_of_the_same_name_is_reported_and_left_out(case: Case, tmp_path: Path) -> None:
    touch(tmp_path, *case.files)
    # with its folder, which SAVEE's names may need
    first = Path(next(name for name in case.files if name.endswith(".wav")))
    touch(tmp_path, f"zz/{first}")
    corpus = case.read(tmp_path)
    assert corpus.duplicate_names == ((tmp_path / first, tmp_path / "zz" / first),)
    assert len(corpus.clips) == case.n_clips


def test_no_media_and_no_folder_are_errors(case: Case, tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt", ".hidden/1001_DFA_ANG_XX.wav", "._1001_DFA_ANG_XX.wav")
    with pytest.raises(CorpusError, match=r"no \.wav, .* file in this folder"):
        case.read(tmp_path)
    with pytest.raises(CorpusError, match="no such folder"):
        case.read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("parse", "name", "expected"),
    [
        (crema_d.parse_name, "1001_DFA_ANG_XX.wav", NamedFile(
            "1001_DFA_ANG_XX", "1001", "ANG",
            {"statement": "Don't forget a jacket", "intensity": "unspecified"})),
        (savee.parse_name, "JE/sa03.wav", NamedFile(
            "JE_sa03", "JE", "sa", {"sentence_number": "03", "sex": "male"})),
        (savee.parse_name, "anywhere/JE_sa03.wav", NamedFile(
            "JE_sa03", "JE", "sa", {"sentence_number": "03", "sex": "male"})),
        (tess.parse_name, "YAF_youth_ps.wav", NamedFile(
            "YAF_youth_ps", "YAF", "ps",
            {"statement": "Say the word youth", "sex": "female", "age": "26"})),
        (emo_db.parse_name, "11b02Td.wav", NamedFile(
            "11b02Td", "11", "T",
            {"statement": "b02", "version": "d", "sex": "male", "age": "26", "language": "de"})),
        (nemo.parse_name, "samples/KS0_fear_7.opus", NamedFile(
            "KS0_fear_7", "KS0", "fear", {"sentence_number": "7", "language": "pl", "sex": "male"})),
        (nemo.parse_name, "AB1_sadness_90.wav", NamedFile(
            "AB1_sadness_90", "AB1", "sadness", {"sentence_number": "90", "language": "pl"})),
    ],
)  # fmt: skip
def test_names_are_parsed(parse: Callable[[Path], NamedFile], name: str, expected: NamedFile) -> None:
    assert parse(Path(name)) == expected


@pytest.mark.parametrize(
    ("parse", "name", "message"),
    [
        (crema_d.parse_name, "1092_DFA_ANG_XX", "actor is '1092', must be 1001 to 1091"),
        (crema_d.parse_name, "1000_DFA_ANG_XX", "actor"),
        (crema_d.parse_name, "1001_ABC_ANG_XX", "sentence is 'ABC'"),
        (crema_d.parse_name, "1001_DFA_SUR_XX", "emotion is 'SUR', must be one of ANG, DIS"),
        (crema_d.parse_name, "1001_DFA_ANG_ZZ", "level is 'ZZ'"),
        (crema_d.parse_name, "1001_DFA_ANG", "4 fields .* this has 3"),
        (savee.parse_name, "DC/a16", "sentence is '16', must be 01 to 15 for a"),
        (savee.parse_name, "DC/n31", "must be 01 to 30 for n"),
        (savee.parse_name, "DC/n00", "sentence"),
        (savee.parse_name, "XX/a01", "speaker is 'XX'"),
        (savee.parse_name, "DC/s01", "a SAVEE name is"),
        (tess.parse_name, "OA_back_angry", "speaker is 'OA'"),
        (tess.parse_name, "OAF_back_surprised", "emotion is 'surprised'"),
        (tess.parse_name, "OAF__sad", "word"),
        (tess.parse_name, "OAF_sad", "3 fields"),
        (emo_db.parse_name, "04a01Fa", "speaker is '04'"),
        (emo_db.parse_name, "03a03Fa", "sentence is 'a03'"),
        (emo_db.parse_name, "03a01Ha", "emotion is 'H'"),
        (emo_db.parse_name, "03a01F1", "an EMO-DB name is"),
        (nemo.parse_name, "EB0_anger", "3 fields .* this has 2"),
        (nemo.parse_name, "eb0_anger_11", "speaker is 'eb0'"),
        (nemo.parse_name, "EB0_surprise_11", "emotion is 'surprise', must be one of anger, fear"),
        (nemo.parse_name, "EB0_anger_91", "sentence is '91', must be 1 to 90"),
        (nemo.parse_name, "EB0_anger_011", "sentence is '011'"),
    ],
)
def test_an_invalid_name_is_an_error_that_names_the_field(
    parse: Callable[[Path], NamedFile], name: str, message: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        parse(Path(f"{name}.wav"))


def test_dropped_label_stays_in_the_facts(tmp_path: Path) -> None:
    touch(tmp_path, "03a01La.wav")
    (clip,) = load_corpus(tmp_path).clips
    assert clip.emotion is None
    assert clip.facts["label"] == "L"


def test_voice_and_face_of_a_take_are_joined(tmp_path: Path) -> None:
    touch(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav", "VideoFlash/1001_DFA_ANG_XX.flv")
    (take,) = load_corpus(tmp_path).takes()
    assert take.voice is not None
    assert take.face is not None
    assert (take.voice.path.suffix, take.face.path.suffix) == (".wav", ".flv")


def test_a_folder_without_wav_is_recognized_too(tmp_path: Path) -> None:
    touch(tmp_path, "1001_DFA_ANG_XX.flv")
    assert load_corpus(tmp_path).name == "CREMA-D"


def test_ravdess_is_first(tmp_path: Path) -> None:
    touch(tmp_path, "03-01-01-01-01-01-01.wav", "1001_DFA_ANG_XX.wav")
    corpus = load_corpus(tmp_path)
    assert corpus.name == "RAVDESS"
    assert [path.name for path in corpus.misnamed] == ["1001_DFA_ANG_XX.wav"]


def test_two_corpora_in_one_folder_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a/1001_DFA_ANG_XX.wav", "a/1002_DFA_ANG_XX.wav", "b/03a01Fa.wav")
    with pytest.raises(CorpusError, match=r"several corpora \(2 of CREMA-D, 1 of EMO-DB\)"):
        load_corpus(tmp_path)


@pytest.mark.parametrize("files", [("holiday.mp4", "a01.wav"), ("notes.txt",)])
def test_errors_about_unknown_names_list_the_known_ones(tmp_path: Path, files: tuple[str, ...]) -> None:
    touch(tmp_path, *files)
    with pytest.raises(CorpusError) as caught:
        load_corpus(tmp_path)
    for known in (str(tmp_path), "(RAVDESS)", "1001_DFA_ANG_XX.wav (CREMA-D)", "DC_a01.wav (SAVEE)",
                  "OAF_back_angry.wav (TESS)", "03a01Fa.wav (EMO-DB)",
                  "EB0_anger_11.wav (nEMO)", ".csv"):  # fmt: skip
        assert known in str(caught.value)
