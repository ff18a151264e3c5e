"""Modules such as users bring, in a file that the processes of a search can import."""

import torch
from torch import nn


class WithStatistics(nn.Module):
    """Rows of any shape through batch statistics and dropout, in its own forward."""

    def __init__(self, input_shape, generator, width=16):
        super().__init__()
        self.first = nn.Linear(int(torch.tensor(input_shape).prod()), width)
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x):
        """(batch, ...) -> (batch, width)."""
        return self.dropout(torch.relu(self.norm(self.first(x.flatten(1)))))


class OfPictures(nn.Module):
    """Reads (batch, channels, height, width) alone."""

    def __init__(self, input_shape, generator, n_channels=8):
        super().__init__()
        channels, _, _ = input_shape
        self.layers = nn.Sequential(
            nn.Conv2d(channels, n_channels, 3, padding=1),
            nn.BatchNorm2d(n_channels),
            nn.ReLU(),
            nn.Dropout2d(0.1),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )

    def forward(self, x):
        """(batch, channels, height, width) -> (batch, 4 * n_channels)."""
        assert x.ndim == 4
        return self.layers(x)


def plain(input_shape, generator):
    """A function that makes a module."""
    width = int(torch.tensor(input_shape).prod())
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 12), nn.ReLU())
