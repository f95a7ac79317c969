# SPDX-License-Identifier: Apache-2.0
"""Takes in rendered pictures while the network trains: the processors render, the device learns."""
import queue
import sys
import threading
import zlib
from typing import Sequence

import torch

from .labels import read_scenes, scene_chunks
from .pictures import Pictures
from .workers import Workers

POLL = 3.0  # seconds between looks into the folders


class Follower:
    """A thread that reads chunks as they are finished; take() hands them to the training's thread."""

    def __init__(self, folders: Sequence[str], seen: Sequence[str], pictures: Pictures, longest: int,
                 workers: Workers) -> None:
        self.workers = workers
        self.folders, self.seen, self.pictures, self.longest = folders, set(seen), pictures, longest
        self.device: torch.device = pictures.pixels.device
        self.canvas = pictures.pixels.shape[2:]  # --coco may have made it larger than the scenes are
        self.ready: "queue.Queue[Pictures]" = queue.Queue()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while not self.stop.wait(POLL):
            fresh = [c for c in scene_chunks(self.folders) if c not in self.seen]
            self.seen.update(fresh)
            fresh = [c for c in fresh if zlib.crc32(c.encode()) % self.workers.count == self.workers.rank]
            if fresh:
                self._read(fresh)

    def _read(self, chunks: Sequence[str]) -> None:
        """All in one copy to the device; one that is broken or does not fit ends nothing and takes no other along."""
        try:
            self.ready.put(Pictures(read_scenes(chunks), self.longest, self.device, canvas=self.canvas))
        except (OSError, ValueError) as error:
            if len(chunks) == 1:
                print(f"train: {chunks[0]} is left out: {error}", file=sys.stderr)
            for chunk in chunks if len(chunks) > 1 else []:
                self._read([chunk])

    def take(self) -> None:
        while not self.ready.empty():
            self.pictures.append(self.ready.get())

    def close(self) -> None:
        self.stop.set()
        self.thread.join()
