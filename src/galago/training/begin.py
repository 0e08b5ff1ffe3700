"""Where a run begins: anew, or from the state that an earlier one has saved."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from galago._core.atomic_io import recover_folder
from galago.training import run_dir as run
from galago.training.config import Config
from galago.training.distributed import let_first_process
from galago.training.state import Changing, check_same_data, find_state, load_state, read_state


class Beginning:
    """What a run begins from; made before anything large is built, called when all is.

    Attributes:
        weights: the checkpoint to begin from; None for random weights, or where there is a state.
        data: what the run learns from, as `fingerprint` has it; empty but in the first process.
    """

    def __init__(
        self,
        out: Path,
        config: Config,
        start: tuple[Path | None, bool],
        look: Callable[[], dict[str, Any]],
    ) -> None:
        """Decide.

        A run that is resumed before it has saved a state begins again.

        Args:
            out: folder of the run, held by this one.
            config: its settings.
            start: the checkpoint that was asked for, and whether the run is resumed.
            look: returns the fingerprint of the data; called in the first process.
        Raises:
            DataError, ImageError: the data cannot be read.
            TrainingError: `out` holds another run, there is nothing to resume, only with other
                settings, data or weights, or the state is damaged.
        """
        weights, resume = start
        self.out, self.data = out, dict[str, Any]()
        state = None
        if resume:
            let_first_process(lambda: recover_folder(out / "state"))
            state = find_state(out)
            run.check_same_settings(out, config)
            if state is None:
                run.check_same_weights(out, weights)
        else:
            run.check_unused(out)
        self.weights = weights if state is None else None
        self.saved = read_state(state) if state else None
        let_first_process(lambda: self.data.update(look()))
        if saved := self.saved:
            let_first_process(lambda: check_same_data(saved, self.data))

    def __call__(self, changing: Changing, describe: Callable[[], Mapping[str, Any]]) -> None:
        """Load the state, or write run.json where the run begins anew.

        Raises:
            TrainingError: the state is of another network, or the file cannot be written.
        """
        if self.saved:
            load_state(changing, self.saved)
            self.saved = None
        else:
            let_first_process(lambda: run.write_description(self.out, describe()))
