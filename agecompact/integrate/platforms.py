"""The platforms that projects are written for.

To add one, add a folder of templates to `templates`, and an entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agecompact.errors import UsageError
from agecompact.formats import EXPORTED, Format


@dataclass(frozen=True)
class Platform:
    """A platform.

    Attributes:
        name: Its name for `--platform`, and that of its folder of templates.
        title: Its name for people.
        formats: Names of the formats that its projects run.
        model_folder: Where a project has the artefact.
        golden_folder: Where it has the golden images.
        test: The command that runs its golden test, in the project's folder.
        needs_detector: Whether a project brings a face detector, if one is installed here. Others
            use their platform's, or the app's.
    """

    name: str
    title: str
    formats: tuple[str, ...]
    model_folder: str
    golden_folder: str
    test: str
    needs_detector: bool = False

    def check(self, format_: Format) -> None:
        """Refuses a format that its projects do not run.

        Raises:
            UsageError: With the formats that they do.
        """
        if format_.name not in self.formats:
            suffixes = " or ".join(f"*{EXPORTED[name].suffix}" for name in self.formats)
            raise UsageError(
                f"a project for {self.title} does not run {format_.suffix} files",
                fix=f"name a file {suffixes} of the build",
            )


_PLATFORMS = (
    Platform(
        "python",
        "Python",
        ("onnx", "tflite"),
        "model",
        "golden",
        "pip install -r requirements.txt && python -m pytest",
    ),
    Platform(
        "web",
        "browsers",
        ("onnx", "tflite"),
        "model",
        "golden",
        "npm install && npm start, then open http://localhost:8080/test.html",
        needs_detector=True,
    ),
    Platform(
        "android",
        "Android",
        ("tflite",),
        "app/src/main/assets",
        "app/src/androidTest/assets",
        "./gradlew :face:test :app:connectedAndroidTest",
    ),
    Platform(
        "ios",
        "iOS",
        ("coreml",),
        "Sources/FaceModel/Model",
        "Tests/FaceModelTests/Golden",
        "swift test",
    ),
)
PLATFORMS: Mapping[str, Platform] = {platform.name: platform for platform in _PLATFORMS}
