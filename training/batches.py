# SPDX-License-Identifier: Apache-2.0
"""Where a step's views and targets come from: labelled pictures, and those that a teacher labels as it sees them."""
from typing import Callable, List, Optional, Tuple

import torch

from . import views
from .pictures import Pictures
from .skeleton import STRIDE
from .targets import Targets, make_targets

Teacher = Callable[[torch.Tensor], Tuple[torch.Tensor, torch.Tensor]]


class Labelled:
    """Views of labelled pictures with exact targets."""

    def __init__(self, pictures: Pictures, look: views.Look) -> None:
        self.pictures, self.look = pictures, look

    def batch(self, n: int, view: Tuple[int, int]) -> Tuple[torch.Tensor, Targets]:
        picture, index, place = views.take(self.pictures, n, self.look, view)
        assert self.pictures.points is not None
        people = views.move_people(self.pictures.points[index], self.pictures.boxes[index], self.pictures.ignore[index],
                                   place, view)
        targets = make_targets(*people, view[0] // STRIDE, view[1] // STRIDE)
        return views.degrade(views.colours(picture)), targets


class Distilled:
    """Views of any pictures, mixed, with what the teacher sees in them before they are made worse."""

    def __init__(self, pictures: Pictures, teacher: Teacher, look: views.Look) -> None:
        self.pictures, self.teacher, self.look = pictures, teacher, look

    def batch(self, n: int, view: Tuple[int, int]) -> Tuple[torch.Tensor, Targets]:
        picture, _, _ = views.take(self.pictures, n, self.look, view)
        clean = views.colours(views.paste(picture, self.pictures)).round()
        with torch.no_grad():
            fields, maps = self.teacher(clean)
        weight = torch.ones_like(maps[:, :1])
        return views.degrade(clean), (fields, maps, weight)


class Mixture:
    """One batch of both; share: of the labelled ones."""

    def __init__(self, labelled: Optional[Labelled], distilled: Optional[Distilled], share: float) -> None:
        if not labelled and not distilled:
            raise ValueError("nothing to learn from")
        self.labelled, self.distilled = labelled, distilled
        self.share = 0.0 if not labelled else 1.0 if not distilled else share

    def batch(self, n: int, view: Tuple[int, int]) -> Tuple[torch.Tensor, Targets]:
        exact = round(n * self.share)
        parts: List[Tuple[torch.Tensor, Targets]] = []
        if self.labelled and exact:
            parts.append(self.labelled.batch(exact, view))
        if self.distilled and exact < n:
            parts.append(self.distilled.batch(n - exact, view))
        pictures = torch.cat([p[0] for p in parts])
        fields, maps, weight = (torch.cat([p[1][i] for p in parts]) for i in range(3))
        return pictures, (fields, maps, weight)
