"""A temporal network on blendshapes: the LRCN's LSTM, with the Face Landmarker in place of its CNN."""

from __future__ import annotations

from torch import Tensor, nn

from emofuse.core.recipes.face import FaceNetwork
from emofuse.training.draws import Dropout, normal_like


class BlendshapeNetwork(nn.Module):
    """A (bidirectional) LSTM over a sequence of blendshapes and head poses.

    Values are standardized with statistics of the training clips' frames. The feature layer is the mean of
    the LSTM's outputs over time, forward and backward joined: an expression is held for a while, and when in
    the clip says little.
    """

    def __init__(self, n_values: int, n_emotions: int, settings: FaceNetwork, *, noise: float = 0.0) -> None:
        """Random weights from torch's current seed.

        Args:
            n_values: blendshapes and head pose per frame.
            n_emotions: width of the output.
            settings: the recipe's.
            noise: standard deviation of the noise on standardized values in training, drawn once per clip.
        """
        super().__init__()
        self.standardise = nn.BatchNorm1d(n_values, eps=1e-4, affine=False)
        self.noise = noise
        self.dropout = Dropout(settings.dropout)
        self.lstm = nn.LSTM(
            n_values, settings.lstm_units, batch_first=True, bidirectional=settings.bidirectional
        )
        self.output = nn.Linear(settings.n_features, n_emotions)

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_frames, n_values) float32 → features, logits."""
        # some blendshapes hardly move: a value that is rare in training must not be an extreme outlier
        # on a GPU in the same order of memory as on the CPU, on which the order of draws depends
        standard = self.standardise(sequence.transpose(1, 2)).contiguous()
        x = standard.transpose(1, 2).clamp(-5, 5)
        if self.training and self.noise > 0:
            x = x + self.noise * normal_like(x[:, :1])
        outputs, _ = self.lstm(self.dropout(x))
        features = outputs.mean(1)
        return features, self.output(self.dropout(features))
