"""What pyproject.toml cannot say: the bundled weights, weights/ of the repository, travel as facegen/weights in a wheel."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithWeights(build_py):
    """Copies the bundled weights into the package; an editable install reads them where they are."""

    def run(self) -> None:
        """Build the package, and the weights beside it."""
        if self.editable_mode:
            super().run()
            return
        # what an earlier build left there, such as modules that have moved since, must not travel
        shutil.rmtree(Path(self.build_lib) / "facegen", ignore_errors=True)
        super().run()
        shutil.copytree("weights", self._weights())

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Every file that the build made."""
        weights = [] if self.editable_mode else [str(path) for path in self._weights().rglob("*") if path.is_file()]
        return [*super().get_outputs(include_bytecode), *weights]

    def _weights(self) -> Path:
        return Path(self.build_lib) / "facegen" / "weights"


setup(cmdclass={"build_py": BuildWithWeights})
