"""The published checkpoints as values: one row each.

Sources: figures, file names and how each was measured from github.com/mit-han-lab/efficientvit,
applications/efficientvit_{seg,cls}/README.md and assets/eval_efficientvit_cls_model.sh (commit
8d60c1c); timm's names and crops from huggingface/pytorch-image-models,
timm/models/efficientvit_mit.py; checksums and sizes from the Git LFS pointers that the pages of
huggingface.co show. Values that are not given there are None.
"""

from collections.abc import Mapping
from dataclasses import dataclass

SEG_REPO = "han-cai/efficientvit-seg"
SEG_REVISION = "4cc87bb5e21a17712fbb69ba42bbf9a594084c8a"  # the commit of all eleven
CLS_REPO = "han-cai/efficientvit-cls"
DATA_TERMS = {
    "Cityscapes": "Cityscapes, non-commercial use only (cityscapes-dataset.com/license)",
    "ADE20K": (
        "ADE20K, non-commercial research and education only "
        "(groups.csail.mit.edu/vision/datasets/ADE20K)"
    ),
    "ImageNet": "ImageNet-1k, non-commercial research and education only (image-net.org/download)",
}
CODE = {
    "authors": "Apache-2.0 (mit-han-lab/efficientvit; the network here is galago's, Apache-2.0)",
    "timm": (
        "Apache-2.0 (huggingface/pytorch-image-models; the network here is galago's, Apache-2.0)"
    ),
}


@dataclass(frozen=True, kw_only=True)
class PretrainedModel:
    """A checkpoint that somebody published.

    Attributes:
        name: under which it loads.
        variant: of the network, such as `b1`.
        data: what it was trained on: Cityscapes, ADE20K or ImageNet.
        size: (height, width) in pixels that it was measured at.
        score: mean IoU or top-1 accuracy in percent, as published.
        parameters_m, macs_g: millions and billions, as published.
        size_mb: of the file, in 10^6 bytes.
        repo, file, revision: where it is on the hub.
        sha256: of the file; None if it is unknown, and recorded on first use.
        layout: whose tensor names it has, `authors` or `timm`.
        crop: share of the image's short side that a classifier sees.
    """

    name: str
    variant: str
    data: str
    size: tuple[int, int]
    score: float | None = None
    parameters_m: float | None = None
    macs_g: float | None = None
    size_mb: float | None = None
    repo: str
    file: str
    revision: str = "main"
    sha256: str | None = None
    layout: str = "authors"
    crop: float = 1.0

    @property
    def is_segmentation(self) -> bool:
        """Whether it labels pixels; else it classifies whole images."""
        return self.data != "ImageNet"

    @property
    def metric(self) -> str:
        """Name of the score."""
        return "mean IoU" if self.is_segmentation else "top-1"

    @property
    def licenses(self) -> dict[str, str]:
        """One line each for code, weights and data."""
        weights = f"Apache-2.0, as huggingface.co/{self.repo} says"
        return {"code": CODE[self.layout], "weights": weights, "data": DATA_TERMS[self.data]}


def _segmentation(data: str, size: tuple[int, int], rows: str) -> list[PretrainedModel]:
    """Return models from rows of variant, mean IoU, parameters, MACs, size in MB and SHA-256; `-`
    is unknown.
    """
    models = []
    for line in rows.strip().splitlines():
        variant, score, parameters, macs, size_mb, sha256 = line.split()
        model = PretrainedModel(
            name=f"{variant}-{data.lower()}",
            variant=variant,
            data=data,
            size=size,
            score=_number(score),
            parameters_m=_number(parameters),
            macs_g=_number(macs),
            size_mb=_number(size_mb),
            repo=SEG_REPO,
            file=f"efficientvit_seg_{variant}_{data.lower()}.pt",
            revision=SEG_REVISION,
            sha256=_text(sha256),
        )
        models.append(model)
    return models


def _classification(rows: str) -> list[PretrainedModel]:
    """Return the authors' classifiers from rows of variant, side, crop, top-1, parameters, MACs,
    size in MB and SHA-256.
    """
    models = []
    for line in rows.strip().splitlines():
        variant, side, crop, score, parameters, macs, size_mb, sha256 = line.split()
        model = PretrainedModel(
            name=f"{variant}-r{side}",
            variant=variant,
            data="ImageNet",
            size=(int(side), int(side)),
            score=_number(score),
            parameters_m=_number(parameters),
            macs_g=_number(macs),
            size_mb=_number(size_mb),
            repo=CLS_REPO,
            file=f"efficientvit_{variant}_r{side}.pt",
            sha256=_text(sha256),
            crop=float(crop),
        )
        models.append(model)
    return models


def _timm(rows: str) -> list[PretrainedModel]:
    """Return timm's copies from rows of variant, side, crop, parameters, size in MB and SHA-256;
    their scores are not given here.
    """
    models = []
    for line in rows.strip().splitlines():
        variant, side, crop, parameters, size_mb, sha256 = line.split()
        model = PretrainedModel(
            name=f"{variant}-imagenet" + ("" if side == "224" else f"-r{side}"),
            variant=variant,
            data="ImageNet",
            size=(int(side), int(side)),
            parameters_m=_number(parameters),
            size_mb=_number(size_mb),
            repo=f"timm/efficientvit_{variant}.r{side}_in1k",
            file="model.safetensors",
            sha256=_text(sha256),
            layout="timm",
            crop=float(crop),
        )
        models.append(model)
    return models


def _number(cell: str) -> float | None:
    return None if cell == "-" else float(cell)


def _text(cell: str) -> str | None:
    return None if cell == "-" else cell


_CITYSCAPES = """
b0 75.653 0.7 4.4 2.92 923d6fdd5e93640cc0c2f3f213764f34e80b477cd98a6b294d870ea6df5acc50
b1 80.547 4.8 25 19.39 80c305bb2a94b9217187bfe4c029618503e0a7c6651edfe2e8a6cfc226426dd4
b2 82.073 15 74 61.6 c5d8b1a319d1abceb09eda9ed66df3c561cc7ad830dd6e67919bf061542a36f5
b3 83.016 40 179 159 3b1dcae99b3406677cb11f3d4afa1a4687b0bb2f1c215a297cbba1bb53c98717
l1 82.716 40 282 161 9ab4802c3a383296b6c337033b13408fbb667b97e63dbf35ba4957d40a564be0
l2 83.228 53 396 211 c5abfdedc29d4c6324d32034b4df233de754f0e1affb5823fe2194faf4598f11
"""
_ADE20K = """
b1 42.840 4.8 3.1 19.34 59cca6a7ff4d1a6494b7f12072c6a68fee40ef401e971f26af01a2e0f3c8f5e7
b2 45.941 15 9.1 61.44 fabfa7163e35d14888690969cd852069f399137be39697bfe5165f03ea76b510
b3 49.013 39 22 - -
l1 49.191 40 36 162 ec317c8b59682755642f0ceba3d0557047aa4b2d8377d607f0bfe1eb657ac330
l2 50.702 51 45 - -
"""
_IMAGENET = """
b0 224 0.95 - 3.4 - 13.74 feebc4d3ebf610673c8ed1d92b21fa2c2e57661868173a37126b734ca5dc3771
b1 224 0.95 79.390 9.1 0.52 36.58 bf8798aa03ed2bba21fc8d58f43ca9a92096f3f03bd700e1df1dcde11559f499
b1 256 0.95 79.918 9.1 0.68 36.58 e4c43a5106f6cbb8c9d8acc5e0813d1c6d2156e869b25ed093b7917813e94aa5
b1 288 0.95 80.410 9.1 0.86 36.58 3c376f8123afaac3751b35f690a6a49fb23924052ed8f4b51aa9ec11419aba20
b2 224 1 82.100 24 1.6 97.6 6ccfecc65460856cb6415f2356deb8b90e0216960f661f5055aef173f8ca421d
b2 256 1 82.698 24 2.1 97.58 71a82838918b9d54537b93c3c21c53288819a05feaaeb0b6e6f78bcdeea79357
b2 288 1 83.086 24 2.6 - -
b3 224 1 83.468 49 4.0 195 3c5be1a11a8a41b3ac4e30e5bff8bf99065c98b4b2d586e1803fd7571f76fb0d
b3 256 1 83.806 49 5.2 - -
b3 288 1 84.150 49 6.5 - -
l1 224 1 84.484 53 5.3 - -
l2 224 1 85.050 64 6.9 - -
l2 256 1 85.366 64 9.1 - -
l2 288 1 85.630 64 11 - -
l2 320 1 85.734 64 14 255 d7d3f83bf6ae68d2fb94063a86846bfe0912c6fde5f4211c60ec8172926af340
l2 384 1 85.978 64 20 - -
l3 224 1 85.814 246 28 - -
l3 256 1 85.938 246 36 - -
l3 288 1 86.070 246 46 985 3300aad05b172fb2ce22ff144dbb96503cc467cd41ed4f8b50511c7a05ee0a1a
l3 320 1 86.230 246 56 - -
l3 384 1 86.408 246 81 985 dff01bc0d78c529891e313ea263ea18ef20ab500121231610ce7c8abbff11699
"""
_IMAGENET_TIMM = """
b0 224 0.95 3.4 13.7 848d8016806a3788e2c6f1e17ad723b9cec9bbe0ca4027d63ea20bd852c58997
b1 224 0.95 9.1 36.5 a2fdd3a0a46338b2df60929342e39d6afa1829ba4164dc2403278f72852303a9
b1 256 1 9.1 - -
b1 288 1 9.1 36.5 29a97903890b5bbad7194c59fcd29f769ed241763af186640094081b6469aadd
b2 224 0.95 24.3 - -
b2 256 1 24.3 97.5 c6a7d137057045fe9d22fbec4cc1f1653d60924d9a4e504bc76d339f3b6b6824
b2 288 1 24.3 - -
b3 224 0.95 48.6 195 fc8beb5fc9a9a4cc91064055d6e0ed74d8f08a6f4b5817f002adfe4029663460
b3 256 1 48.6 - -
b3 288 1 48.6 195 c0c0c6c57a625ca0ef3a7c75585d4e942eed35c22705cce97de97092c9b6539e
l1 224 1 52.7 211 -
l2 224 1 63.7 255 253914285f7d4292719d425a8c9c782a17ef7a498b871173cfd4dccf3cf80537
l2 256 1 63.7 - -
l2 288 1 63.7 - -
l2 384 1 63.7 255 7a86be9dfe098401fc28a8b0d9069914b5ec01d8ca250753ebe8b72c47e377a9
l3 224 1 246 - -
l3 256 1 246 - -
l3 320 1 246 984 -
l3 384 1 246 - -
"""
PUBLISHED: Mapping[str, PretrainedModel] = {
    model.name: model
    for model in [
        *_segmentation("Cityscapes", (1024, 2048), _CITYSCAPES),
        *_segmentation("ADE20K", (512, 512), _ADE20K),
        *_classification(_IMAGENET),
        *_timm(_IMAGENET_TIMM),
    ]
}
