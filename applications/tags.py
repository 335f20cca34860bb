"""Parts of speech and names in Turkish sentences of the web and of Wikipedia: `make tags`.

The Turkish Web Treebank (T. Kayadelen, A. Öztürel, B. Bohnet, A gold standard dependency treebank
for Turkish, LREC 2020; Apache-2.0) has 4,851 sentences whose words people have annotated. One
tagger learns the parts of speech, another one which words are parts of names. Both are measured on
every tenth sentence, beside the most frequent tag of each word.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from retrograd.data.tagged import TaggedText, parse_tagged

from .application import make_parser, retrograd, run
from .packages import Wheel, write_whole

PACKAGE = Wheel(
    "turkish-treebanks",
    "1.0.0",
    "5a009c29a8e96e8f7e25059d59ac293c3baead6d746bf0fa4c9d3349b1e37ba0",
)
SECTIONS = ("data/web.conllu", "data/wiki.conllu")
KINDS = ("speech", "names")
TEST_EVERY = 10

Word = tuple[str, str, bool]


def write_words(folder: Path, data: Path | None = None) -> Path:
    """Write speech.train, speech.test, names.train and names.test: one word and its tag a line.

    Returns:
        the folder of the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = PACKAGE.open(data)
    parts: dict[str, list[str]] = {f"{kind}.{p}": [] for kind in KINDS for p in ("train", "test")}
    for section in SECTIONS:
        text = parse_tagged(contents[section].decode("utf-8"), section)
        for number, words in enumerate(read_sentences(text), 1):
            part = "test" if number % TEST_EVERY == 0 else "train"
            parts[f"speech.{part}"] += [f"{word}\t{speech}" for word, speech, _ in words] + [""]
            parts[f"names.{part}"] += [*mark_names(words), ""]
    for name, lines in parts.items():
        write_whole(folder / f"{name}.conll", ("\n".join(lines) + "\n").encode())
    return folder


def read_sentences(text: TaggedText) -> Iterator[list[Word]]:
    """The words of each sentence as they are written: form, part of speech, whether it is a name.

    The treebank cuts a word into its inflectional groups. The last one says what the word is in its
    sentence.
    """
    columns = [text.find_column(name, "words") for name in ("FORM", "XPOS", "FEATS", "DEPREL")]
    for groups in zip(*(text.read_column(column) for column in columns)):
        words: list[Word] = []
        written = ""
        for form, speech, features, relation in zip(*groups):
            written += form
            if relation != "ig":  # another group of the same word follows
                words.append((written, speech, "Proper=True" in features.split("|")))
                written = ""
        yield words


def mark_names(words: list[Word]) -> Iterator[str]:
    """Lines with the tags B-NAME, I-NAME and O: names side by side count as one."""
    inside = False
    for word, _, is_name in words:
        yield f"{word}\t{('I-NAME' if inside else 'B-NAME') if is_name else 'O'}"
        inside = is_name


def main() -> None:
    parser = make_parser("tags", __doc__.splitlines()[0])
    parser.add_argument("--kinds", default=",".join(KINDS), help="which tags (speech,names)")
    options = parser.parse_args()
    folder = write_words(options.folder, options.data)
    for kind in options.kinds.split(","):
        model = options.folder / kind
        train = ("train", folder / f"{kind}.train.conll", "--task", "tags")
        retrograd(*train, "--out", model, "--seed", options.seed, "--force")
        retrograd("evaluate", model, folder / f"{kind}.test.conll")


if __name__ == "__main__":
    run(main)
