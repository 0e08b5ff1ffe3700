"""Which split a file is for, by the words in its name."""

import re

WORDS = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "trainvaltest": "train",
    "valminusminival": "train",  # of COCO's older splits: for training
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "test": "test",
    "testing": "test",
}
BEFORE, AFTER = r"(?:mini|sub|small|tiny)?", r"(?:set|split|data)?"
WORD = re.compile(f"{BEFORE}({'|'.join(sorted(WORDS, key=len, reverse=True))}){AFTER}")
WEAK = {
    "dev": "val",
    "eval": "val",
    "evaluation": "val",
}  # where no other word says more: `test-dev`


def split_of(name: str) -> str | None:
    """Return train, val or test, by the last word that means one, or None where none does.

    Words are the letters between other characters, and in `labelsVal` between a small and a capital
    letter: `instances_minival2014` and `site_train_v2_val` are val, `terrain` and `latest` none.
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[a-z]+", spaced.lower())
    strong = [WORDS[found[1]] for word in words if (found := WORD.fullmatch(word))]
    weak = [WEAK[word] for word in words if word in WEAK]
    told = strong or weak
    return told[-1] if told else None
