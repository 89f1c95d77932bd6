"""How far a student's own dynamics goes, and when it is wrong there."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDynamics:
    """Settings of the rounds in which a student shows where it goes by itself.

    Attributes:
        hotter: Highest temperature, as a multiple of that of the teacher's trajectories.
        volumes: Of the cells, as a part of their own, in turn.
        learned: Trajectories of a round of which frames may be learned, of all phases together.
        held_back: Those by which the student is judged, and that are never learned; when it has
            learned, twice as many.
        steps: Length of each.
        every: Steps from one frame to the next.
        judged: Of every trajectory held back, every so many frames are labelled.
        frames: How many are learned in a round.
        limit: A frame is wrong if its error, in % of its own forces, is so many times that of the
            validation. Forces grow with the temperature, and errors with them.
    """

    hotter: float = 1.25
    volumes: tuple[float, ...] = (1.0, 0.95, 1.05)
    learned: int = 8
    held_back: int = 8
    steps: int = 800
    every: int = 10
    judged: int = 4
    frames: int = 300
    limit: float = 2.5

    def scaled(self, part: float) -> OwnDynamics:
        """Less of it: first shorter, then fewer trajectories, of which every phase has one."""
        shorter = max(part, 0.25)
        steps = max(4 * self.every, self.every * round(shorter * self.steps / self.every))
        fewer = min(1.0, part / shorter)
        return replace(
            self,
            steps=steps,
            frames=max(4, round(part * self.frames)),
            learned=max(1, round(fewer * self.learned)),
            held_back=max(1, round(fewer * self.held_back)),
        )
